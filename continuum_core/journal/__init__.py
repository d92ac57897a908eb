"""The journal port: what a backend implements, and what it may use to do so. Every module here is public.

- `protocol`: the verbs, the promises, the capabilities. Begin here.
- `records`: the rows. `commit`: what goes into the verbs, and their answers.
- `checking`: turns that no journal may take, refused alike by all.
- `cursor`: cursors of pages. `dealing`: the order of a queue's tasks. `rate`: token buckets.
- `effects`, `fences`, `waiters`: what orders do, how tasks are born, who waits: the same in all journals.
  `undisturbed`: what is ended though its caller was cancelled.
- `attributes`, `searching`, `selecting`: what runs are found by, searches, and searches as SQL.
- `transactions`, `gauges`, `presence`, `replies`, `crews`, `blobs`, `carrying` with `carriers`: optional, for
  backends that declare so. `wakeups`: hints that another store carries.
- `connect`: from a URL to a journal: for tests, and for programs that look at journals themselves.
"""
