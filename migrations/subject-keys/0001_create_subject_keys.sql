-- In the database of SUBJECT_KEYS_URL, or beside the data where there is none.
create table subject_keys (
  subject uuid primary key,
  -- 32 random bytes, sealed by the keyring and bound to the subject.
  wrapped bytea not null,
  made_at timestamptz not null default clock_timestamp()
);

-- Outlives a restore of the data: who stands here is erased again.
create table erased_subjects (
  subject uuid primary key,
  erased_at timestamptz not null default clock_timestamp()
);

-- Both take the person's lock first, and a statement of a function sees what was committed before it began: a key that is
-- made while it is destroyed is never left behind.
create function make_subject_key(person uuid, fresh bytea) returns bytea language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('subject ' || person, 0));
  insert into subject_keys (subject, wrapped)
    select person, fresh where not exists (select from erased_subjects e where e.subject = person)
    on conflict do nothing;
  return (select k.wrapped from subject_keys k where k.subject = person);
end $$;

create function destroy_subject_key(person uuid) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('subject ' || person, 0));
  insert into erased_subjects (subject) values (person) on conflict do nothing;
  delete from subject_keys k where k.subject = person;
end $$;
