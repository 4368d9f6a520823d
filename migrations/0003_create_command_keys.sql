-- Answers that were given, for 24 hours at least: enough to make their bytes again from the history.
create table command_keys (
  day date not null,
  digest bytea not null,
  request bytea not null,
  status smallint not null,
  kind text not null,
  entity_id uuid,
  version_id bigint,
  items uuid[],
  primary key (digest, day)
) partition by range (day);
create table command_keys_default partition of command_keys default;
