-- The last event of every partition of the outbox that was dropped. What stands at or below the highest of them is gone:
-- written in the transaction of the drop, so whoever does not find the one finds the other.
create table pruned_events (
  partition text not null,
  epoch bigint not null,
  xid xid8 not null,
  seq bigint not null,
  pruned_at timestamptz not null default clock_timestamp()
);

-- Drops the oldest partition that ends at `bound` or before, and says its name and whether it is gone; no name where there
-- is none. Never the default one, which has no end. A drop needs the parent for itself, and while it waits for it everybody
-- queues behind: so it waits for a moment only, and the next round tries again.
create function drop_partition_before(parent regclass, bound timestamptz, out partition text, out dropped boolean) language plpgsql
set lock_timeout = '100ms' set timezone = 'UTC' as $$
declare
  last record;
begin
  select c.oid::regclass::text into partition
  from pg_inherits i join pg_class c on c.oid = i.inhrelid,
    lateral (select substring(pg_get_expr(c.relpartbound, c.oid) from ' TO \(''(.*)''\)')::timestamptz as ends) b
  where i.inhparent = parent and b.ends <= bound order by b.ends limit 1;
  if partition is null then return; end if;
  dropped := false;
  begin
    execute format('lock table only %s in access exclusive mode', parent);
    -- Somebody else was faster.
    if to_regclass(partition) is null then
      partition := null;
      return;
    end if;
    if parent = 'outbox'::regclass then
      execute format('select epoch, xid, seq from %s order by epoch desc, xid desc, seq desc limit 1', partition) into last;
      -- Above the fence nobody may pass it over: a transaction is still open that was when it was written.
      if last.epoch = (select max(e.epoch) from database_epochs e) and last.xid >= pg_snapshot_xmin(pg_current_snapshot()) then return; end if;
      insert into pruned_events (partition, epoch, xid, seq)
      select drop_partition_before.partition, last.epoch, last.xid, last.seq where last.epoch is not null;
    end if;
    execute format('drop table %s', partition);
    dropped := true;
  exception when lock_not_available then null;
  end;
end $$;
