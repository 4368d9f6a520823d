-- One row per entity. version_id is the guard and counts across deletion; updated_at_ns is for people.
create table products (
  id uuid primary key,
  version_id bigint not null,
  updated_at_ns bigint not null,
  event_seq bigint not null,
  deleted_at timestamptz,
  sku text collate "C" not null,
  name text not null,
  description text,
  price_amount bigint not null,
  price_currency text not null,
  stock bigint not null check (stock >= 0),
  status text not null
);
-- Rows change often and their indexed columns hardly ever: room for the new version on the same page keeps updates out of the indexes.
alter table products set (fillfactor = 80);
create unique index products_sku_key on products (sku) where deleted_at is null;
create index products_status_key on products (status, id) where deleted_at is null;
