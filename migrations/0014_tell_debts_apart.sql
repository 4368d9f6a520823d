-- What tells one debt of an entity from the next. A count alone did not: a row that was settled and is owed anew counts from one
-- again, and a replay that stood still meanwhile would take the new one for the one that it had read.
create sequence sync_retry_debts;
alter table sync_retry_queue alter column owed set default nextval('sync_retry_debts');
-- What is queued already has counts, and the sequence is above them all.
select setval('sync_retry_debts', greatest(1, max(owed))) from sync_retry_queue;
comment on column sync_retry_queue.owed is 'The number of the debt: another one whenever the entity is owed again. A replay deletes its row only if it is unchanged.';
