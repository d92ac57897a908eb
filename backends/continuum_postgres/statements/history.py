"""What tells one history of a database from another, and whether what was acknowledged is in this one."""

from __future__ import annotations

from continuum_postgres.statements import REACHED

__all__ = ["IDENTITY", "PRIVILEGES", "SERVER", "STANDING"]

# Who set it, where no transaction of this session may write unless it asks to.
_READ_ONLY = """
  (SELECT s.source FROM pg_catalog.pg_settings s
    WHERE s.name = 'default_transaction_read_only' AND s.setting = 'on')
"""

SERVER = f"""
SELECT current_setting('server_encoding'), pg_catalog.pg_is_in_recovery(), current_setting('fsync'),
  current_setting('synchronous_commit'), current_setting('full_page_writes'), {_READ_ONLY}, $1::integer
"""

# Which cluster, and its timeline: a promotion and a restore to a moment begin a new one. The checkpoint's
# own timeline is told late; the name of the log's current file is not. And how far it has come.
IDENTITY = f"""
SELECT system_identifier::text, CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
  ELSE substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8) END,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL ELSE {REACHED} END, {_READ_ONLY}, $1::integer
FROM pg_catalog.pg_control_system()
"""

# The version and last commit of a run that is there, and which commit made a version of it.
STANDING = """
SELECT r.version, r.commit_id, e.commit_id
FROM unnest($2::smallint[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS m (shard, run_id, version, ord)
LEFT JOIN LATERAL (
  SELECT r.version, r.commit_id FROM continuum.runs r
  WHERE r.shard = m.shard AND r.ns = $1::integer AND r.run_id = m.run_id OFFSET 0
) r ON true
LEFT JOIN LATERAL (
  SELECT e.commit_id FROM continuum.records e
  WHERE e.shard = m.shard AND e.ns = $1::integer AND e.run_id = m.run_id AND e.version = m.version OFFSET 0
) e ON true
ORDER BY m.ord
"""

# Which of the tables $3 of the schema $2 this role may not use as verbs do. Others may lie beside ours.
PRIVILEGES = """
SELECT c.relname::text, $1::integer FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $2::text AND c.relname = ANY ($3::text[]) AND c.relkind IN ('r', 'p') AND NOT (
    pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
    AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
  )
ORDER BY c.relname
"""
