"""Every statement of the backend, static and by name, one module a noun.

Rule: no statement is put together from values or at run time. The first parameter is always the
namespace, and every statement names it. `INDEXED BY` pins a plan whose cost is promised: SQLite refuses
the statement if the plan is not to be had, instead of scanning in silence.
"""
