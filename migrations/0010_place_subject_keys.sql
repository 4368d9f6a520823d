-- Where the keys of persons are: in a database of their own, or beside the data. In the other place every customer would look erased.
alter table installation add column subject_keys_apart boolean;
-- An installation that is older has them where their tables are; without customers it may say otherwise.
update installation set subject_keys_apart = to_regclass('subject_keys') is null;
alter table installation alter column subject_keys_apart set not null;
