-- Runs over all entities: verifications of the cache, rebuilds of the cache, and rows held against their events. Whichever
-- process works on one commits its place after every page, so that another can go on, and any can tell of it.
create table verifications (
  id uuid primary key,
  work text not null,
  -- Of one kind, or null of all.
  kind text,
  sample double precision not null,
  repair boolean not null,
  reason text not null,
  -- The id of an API key, or who else asked for it.
  actor text not null,
  -- The epoch in which it was asked for.
  epoch bigint not null,
  -- How often its place was moved: two who work on it at once move it once.
  moves bigint not null default 0,
  -- The kind that it is at, and the last id behind it.
  at_kind text,
  at_id uuid,
  tally json not null default '{"counts": {}, "oldestSeconds": {}, "first": {}}',
  asked_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz
);
-- Every process that sees a new epoch asks for a verification: there is one.
create unique index verifications_of_epoch on verifications (epoch) where reason = 'epoch';
create index verifications_unfinished on verifications (asked_at) where finished_at is null;
create index verifications_finished on verifications (finished_at) where finished_at is not null;
