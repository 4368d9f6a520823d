-- Erasures that are certified, and still owe the end of the person's sessions: the cache was away.
create table unfinished_erasures (
  kind text not null,
  entity_id uuid not null,
  since timestamptz not null default clock_timestamp(),
  primary key (kind, entity_id)
);
