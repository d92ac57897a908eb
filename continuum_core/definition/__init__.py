"""What a machine is: from the class that a user writes to a frozen `Chart`, and all its faults at once. Pure.

- `declare`, `target`, `active`, `sequence`: what users write; it makes a `draft`, and `machine` hands it on.
- `build`: from the draft to a `chart`, part by part: `shapes`, `wiring`, `lengths`, `invokes`, `crews`,
  `stored`.
- `check`: what is wrong with the whole: `reach`, `conflict`, and what the parts have noted. `fault` has the
  codes.
- `purity` and below it `reading`, `sharing`, `scope`, `known`: how users' functions are judged without
  running them.
- `fingerprint`, `compatibility`, `structure`, `locks`, `upgrade`: what one version of a machine is to
  another.
- `layout`, `svg`, `diagram`, `terminal`: drawings.
"""
