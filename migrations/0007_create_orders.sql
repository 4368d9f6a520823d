create table orders (
  id uuid primary key,
  version_id bigint not null,
  updated_at_ns bigint not null,
  event_seq bigint not null,
  deleted_at timestamptz,
  customer_id uuid not null,
  status text not null,
  -- json, not jsonb: an answer has its members in the order in which they were written.
  lines json not null,
  total_amount bigint not null,
  total_currency text not null,
  payment json,
  shipment json,
  shipping_address_ref text,
  -- The address, sealed under the key of the customer.
  personal text
);
-- Most changes of an order are of its status, and so never stay out of the indexes; with room on the page they touch one page, not two.
alter table orders set (fillfactor = 80);
create index orders_customer_id_key on orders (customer_id, id) where deleted_at is null;
create index orders_status_key on orders (status, id) where deleted_at is null;
