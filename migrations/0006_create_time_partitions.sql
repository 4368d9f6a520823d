-- Months of the outbox and days of the keys are made ahead; a row that comes where none was made goes to the default partition.
create function make_time_partitions(months integer, days integer) returns void language plpgsql as $$
declare
  at date;
begin
  for at in select (date_trunc('month', now() at time zone 'utc') + make_interval(months => n))::date from generate_series(0, months) n loop
    begin
      execute format('create table if not exists %I partition of outbox for values from (%L) to (%L)',
        'outbox_' || to_char(at, 'YYYYMM'), at::text || ' 00:00:00+00', (at + interval '1 month')::date::text || ' 00:00:00+00');
    -- A row of that time, written by a clock that runs ahead, stands in the default partition already: there it stays.
    exception when check_violation then raise notice 'no partition for %', at;
    end;
  end loop;
  for at in select ((now() at time zone 'utc')::date + n) from generate_series(-1, days) n loop
    begin
      execute format('create table if not exists %I partition of command_keys for values from (%L) to (%L)',
        'command_keys_' || to_char(at, 'YYYYMMDD'), at::text, (at + 1)::text);
    exception when check_violation then raise notice 'no partition for %', at;
    end;
  end loop;
end $$;
select make_time_partitions(2, 7);
