return verbs[ARGV[2]]()
