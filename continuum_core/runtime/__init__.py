"""The two loops of a worker: runs claimed for their turns, tasks claimed for their bodies.

- `supervisor` starts, watches and drains them.
- `runs` claims and hands turns on; `turns` remembers runs between two of them.
- `tasks` claims; `bodies` makes one attempt of it, `outcomes` and `reports` tell the journal how it ended.
- `holding`, `lease`: what this worker has in hand, and how it stays so. `slots`, `places`: how much that may
  be.
"""
