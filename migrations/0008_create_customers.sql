-- What names a person is null once the person is erased: the row says then that there was one, and no more.
create table customers (
  id uuid primary key,
  version_id bigint not null,
  updated_at_ns bigint not null,
  event_seq bigint not null,
  deleted_at timestamptz,
  status text not null,
  marketing_consent boolean not null,
  email_hash text,
  phone_hash text,
  pii_ref text,
  email_index text collate "C",
  -- Name, e-mail, phone and address, sealed under the person's own key.
  personal text,
  -- What the erasure came to; null until it is finished.
  certificate json
);
alter table customers set (fillfactor = 80);
create unique index customers_email_key on customers (email_index) where deleted_at is null;
-- Erasures that a crash left unfinished.
create index customers_uncertified on customers (id) where deleted_at is not null and certificate is null;
