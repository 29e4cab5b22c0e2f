//! Statements about the schema itself.

/// Whether the schema was migrated at all. Asks the catalog and not `to_regclass`, which may answer from before a lock
/// was waited for.
pub(crate) const IS_MIGRATED: &str = "select exists (select from pg_class where relname = 'meta' and relnamespace = \
     (select oid from pg_namespace where nspname = current_setting('search_path')))";
/// What the schema is.
pub(crate) const META: &str = "select format, shards from meta";
/// Migrations that were applied.
pub(crate) const APPLIED: &str = "select number from migrations order by number";
/// One migration at a time in a schema, and nobody waits for long.
pub(crate) const LOCK_SCHEMA: &str = "select pg_advisory_xact_lock(hashtextextended('squid_mesh migrates ' || current_setting('search_path'), 0))";
/// Makes the schema, whose name is all there is in `search_path`. One that exists asks for no right to make it.
pub(crate) const CREATE_SCHEMA: &str = "do $$ begin \
     if not exists (select from pg_namespace where nspname = current_setting('search_path')) then \
     execute format('create schema %I', current_setting('search_path')); end if; end $$";
/// Records what the schema is.
pub(crate) const INSERT_META: &str = "insert into meta (format, shards) values ($1, $2)";
/// Records a migration.
pub(crate) const INSERT_APPLIED: &str = "insert into migrations (number, name) values ($1, $2)";
