"""What one event does to one run: pure functions from a snapshot to the next one and a list of commands.

- `macrostep.step` is the way in; `migration.migrate` is its sibling for runs of an older machine.
- `program` and `layout`: a chart compiled, once; `select`, `microstep`, `progress`: one step while it is
  made.
- `snapshot`, `events`, `commands`: what goes in and comes out. `crews`, `ledger`, `bounds`: parts of a
  snapshot.
"""
