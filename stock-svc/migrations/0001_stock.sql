-- Tables whose key is a text are one tree of pages each, and not two: `without rowid`.

-- The catalogue: what a SKU is and what it costs. Orders copy the price, so a product may change at any time.
create table product (
    sku         text    not null primary key,
    title       text    not null,
    currency    text    not null,
    minor_units bigint  not null,
    on_sale     boolean not null,
    constraint product_price_not_negative check (minor_units >= 0),
    constraint product_currency_is_a_code check (length(currency) = 3)
) without rowid;

-- Where a SKU's units are. Apart from the catalogue: units move with every order, a title hardly ever. The rows of an order's
-- SKUs are locked in the order of the SKUs, and after the order's reservation.
create table stock (
    sku       text   not null primary key references product (sku),
    available bigint not null,
    frozen    bigint not null,
    sold      bigint not null,
    -- The statements that move units are guarded by the same rules: these are the last line of defence.
    constraint stock_available_not_negative check (available >= 0),
    constraint stock_frozen_not_negative check (frozen >= 0),
    constraint stock_sold_not_negative check (sold >= 0),
    constraint stock_within_limit check (available + frozen + sold <= 1000000000000000)
) without rowid;

-- What an order holds. One row an order, so that its lines can only move together, and its key is what refuses a second
-- reservation for the same order.
create table reservation (
    order_no text   not null primary key,
    state    text   not null,
    -- Milliseconds since the Unix epoch, of the last move.
    at       bigint not null,
    -- `or` and not `in`: of a list of more than two words SQLite builds a table, each time that it checks a row.
    constraint reservation_state_is_known check (
        state = 'FROZEN' or state = 'SOLD' or state = 'RELEASED' or state = 'RESTOCKED')
) without rowid;

-- Which units a reservation holds. Never changed: what became of them is the reservation's state. Written by SKU, after the
-- rows of `stock`; an order's rows are written by one transaction alone.
create table reservation_line (
    order_no text   not null references reservation (order_no),
    sku      text   not null references stock (sku),
    quantity bigint not null,
    primary key (order_no, sku),
    constraint reservation_line_quantity_positive check (quantity > 0)
) without rowid;

create trigger reservation_line_is_never_changed before update on reservation_line
begin
    select raise(abort, 'the lines of a reservation never change');
end;

create trigger reservation_line_is_never_removed before delete on reservation_line
begin
    select raise(abort, 'the lines of a reservation never change');
end;

-- Every change of a SKU's units, for whoever asks how a number came about. Append-only.
create table flow (
    seq      integer not null primary key,
    sku      text    not null references stock (sku),
    kind     text    not null,
    quantity bigint  not null,
    -- Null for units that were added.
    order_no text    references reservation (order_no),
    -- Milliseconds since the Unix epoch.
    at       bigint  not null,
    constraint flow_kind_is_known check (
        kind = 'ADD' or kind = 'FREEZE' or kind = 'CONFIRM' or kind = 'UNFREEZE' or kind = 'RESTOCK'),
    constraint flow_quantity_positive check (quantity > 0),
    constraint flow_names_its_order check ((kind = 'ADD') = (order_no is null))
);

-- A SKU's flows are read a page at a time, oldest first.
create index flow_by_sku on flow (sku, seq);

create trigger flow_is_never_changed before update on flow
begin
    select raise(abort, 'the flows of stock are append-only');
end;

create trigger flow_is_never_removed before delete on flow
begin
    select raise(abort, 'the flows of stock are append-only');
end;
