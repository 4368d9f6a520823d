-- What the cache is owed: one row per entity, so that an outage of any length is bounded by the number of entities.
create table sync_retry_queue (
  kind text not null,
  entity_id uuid not null,
  version_id bigint not null,
  -- How often it was owed: a replay deletes its row only if nobody owed again meanwhile.
  owed bigint not null default 1,
  reason text not null,
  attempts integer not null default 0,
  dead boolean not null default false,
  first_failed_at timestamptz not null default clock_timestamp(),
  next_attempt_at timestamptz not null default clock_timestamp(),
  primary key (kind, entity_id)
);
create index sync_retry_queue_due on sync_retry_queue (next_attempt_at) where not dead;
