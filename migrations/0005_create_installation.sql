-- What all processes of one installation share. One row.
create table installation (
  only_row boolean primary key default true check (only_row),
  id uuid not null default gen_random_uuid(),
  partitions integer not null,
  -- Authenticates consistency tokens.
  token_secret bytea not null
);

create table api_keys (
  id text primary key,
  name text not null,
  scopes text[] not null,
  secret_hash bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz
);

create table audit_log (
  id uuid primary key,
  recorded_at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null,
  kind text,
  entity_id text,
  request text not null
);
