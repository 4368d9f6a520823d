-- Which lives this database has had. The number is the clock in milliseconds when it began.
create table database_epochs (
  epoch bigint primary key,
  system_identifier text not null,
  timeline bigint not null,
  began_at timestamptz not null default clock_timestamp()
);
insert into database_epochs (epoch, system_identifier, timeline)
select (extract(epoch from clock_timestamp()) * 1000)::bigint, (select system_identifier::text from pg_control_system()), (select timeline_id from pg_control_checkpoint());

-- Drawn under the row's lock, one by one (CACHE 1): for one entity the order of sequences is the order of versions.
create sequence outbox_seq cache 1;

-- Event log and outbox in one: append only. Nothing is updated or deleted on delivery.
create table outbox (
  recorded_at timestamptz not null,
  epoch bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  seq bigint not null,
  partition smallint not null,
  kind text not null,
  entity_id uuid not null,
  version_id bigint not null,
  type text not null,
  schema_version smallint not null default 1,
  data json not null,
  metadata json not null
) partition by range (recorded_at);
create index outbox_position on outbox (epoch, xid, seq);
create index outbox_entity on outbox (kind, entity_id, version_id);
create table outbox_default partition of outbox default;
