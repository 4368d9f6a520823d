-- Where the tables are: a dump that is put in place of what was there leaves cluster and timeline as they are. Null where nobody looked.
alter table database_epochs add column place text;

-- Which database this is, and which branch of its history. The checkpoint's timeline would not do: a server that was promoted
-- keeps the old one there until its next checkpoint. Not to be asked in recovery.
create function database_life(out system_identifier text, out timeline bigint, out place text) language plpgsql as $$
begin
  system_identifier := (select c.system_identifier from pg_control_system() c);
  timeline := ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint;
  place := (select d.oid from pg_database d where d.datname = current_database()) || '/' || 'database_epochs'::regclass::oid;
end $$;

update database_epochs e set place = l.place from database_life() l where e.epoch = (select max(epoch) from database_epochs);

-- The epoch of this life; null where it has none yet, and where the server is in recovery.
create function current_epoch(out recovering boolean, out epoch bigint) language plpgsql as $$
begin
  recovering := pg_is_in_recovery();
  if not recovering then
    select e.epoch into epoch from (select * from database_epochs n order by n.epoch desc limit 1) e, database_life() l
    where e.system_identifier = l.system_identifier and e.timeline = l.timeline and coalesce(e.place, l.place) = l.place;
  end if;
end $$;

-- Begins a life, if this one has no epoch yet or somebody wants a new one: the clock in milliseconds, but more than every
-- number there is, and than `above`. Two at once make one: the second waits, and each statement in here sees what was
-- committed before it.
create function begin_epoch(above bigint, by_hand boolean) returns bigint language plpgsql as $$
declare
  life record;
  newest record;
begin
  perform pg_advisory_xact_lock(hashtextextended('holdfast epoch', 0));
  if not by_hand and (select c.epoch from current_epoch() c) is not null then
    return (select max(e.epoch) from database_epochs e);
  end if;
  select * into life from database_life();
  select * into newest from database_epochs e order by e.epoch desc limit 1;
  -- The same server as before: there may be connections that were compared before this. Every statement that says its
  -- epoch holds this table until its transaction is over, so none of the old epoch is left, and what comes now says the new one.
  if newest.system_identifier = life.system_identifier and newest.timeline = life.timeline then
    lock table database_epochs in access exclusive mode;
  end if;
  insert into database_epochs (epoch, system_identifier, timeline, place)
  values (greatest((extract(epoch from clock_timestamp()) * 1000)::bigint, newest.epoch + 1, above + 1), life.system_identifier, life.timeline, life.place);
  return (select max(e.epoch) from database_epochs e);
end $$;
