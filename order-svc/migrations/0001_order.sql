-- An order, at the prices that it was placed for. Named in the plural because `order` is a word of SQL. A transaction locks
-- one row of it, and before any of the tables below.
create table orders (
    -- Grows by the order: lists are newest first.
    seq           integer not null primary key,
    order_no      text    not null,
    user_id       text    not null,
    state         text    not null,
    -- Whether the goods have left: what CANCELLING goes back to, or ends as, depends on it.
    shipped       boolean not null,
    currency      text    not null,
    -- Minor units, like every amount here.
    total         bigint  not null,
    points        bigint  not null,
    -- Null until it is paid; zero where points paid all.
    paid          bigint,
    -- The saga that placed it.
    saga_id       text    not null,
    -- The user's idempotency key; null where the caller had none. Kept as long as the order: the saga that it named may be
    -- removed, and the same token must not buy twice after that.
    submit_token  text,
    -- The key of the call that began to cancel it, by which that call's undo finds the order.
    cancelled_by  text,
    -- Milliseconds since the Unix epoch.
    created_at    bigint  not null,
    constraint orders_order_no_key unique (order_no),
    constraint orders_user_id_submit_token_key unique (user_id, submit_token),
    constraint orders_cancelled_by_key unique (cancelled_by),
    -- `or` and not `in`: of a list of more than two words SQLite builds a table, each time that it checks a row.
    constraint orders_state_is_known check (
        state = 'CREATED' or state = 'PAID' or state = 'SHIPPED' or state = 'COMPLETED'
        or state = 'CANCELLED' or state = 'CANCELLING' or state = 'REFUNDED' or state = 'RETURNED'),
    constraint orders_shipped_fits_state check (
        state = 'CANCELLING'
        or shipped = (state = 'SHIPPED' or state = 'COMPLETED' or state = 'RETURNED')),
    constraint orders_currency_is_a_code check (length(currency) = 3),
    constraint orders_points_within_total check (0 <= points and points <= total),
    constraint orders_total_within_limit check (total <= 1000000000000),
    constraint orders_paid_fits_state check ((paid is null) = (state in ('CREATED', 'CANCELLED'))),
    constraint orders_paid_is_what_was_due check (paid is null or paid = total - points),
    constraint orders_cancelled_by_fits_state check (
        (cancelled_by is not null)
        = (state = 'CANCELLING' or state = 'REFUNDED' or state = 'RETURNED'))
);

-- A user's orders are listed newest first.
create index orders_by_user on orders (user_id, seq);

-- What was ordered, in the order in which it was asked for. Never changed.
-- One tree of pages for the table and its key, and not two: `without rowid`.
create table order_line (
    order_no   text   not null references orders (order_no),
    number     bigint not null,
    sku        text   not null,
    quantity   bigint not null,
    unit_price bigint not null,
    primary key (order_no, number),
    constraint order_line_once_a_sku unique (order_no, sku),
    constraint order_line_quantity_positive check (quantity > 0),
    constraint order_line_price_not_negative check (unit_price >= 0)
) without rowid;

create trigger order_line_is_never_changed before update on order_line
begin
    select raise(abort, 'the lines of an order never change');
end;

create trigger order_line_is_never_removed before delete on order_line
begin
    select raise(abort, 'the lines of an order never change');
end;

-- How each order came to its state, for whoever asks why. Append-only, written with every change of state.
create table transition (
    seq        integer not null primary key,
    order_no   text    not null references orders (order_no),
    -- Null for the first.
    from_state text,
    to_state   text    not null,
    reason     text    not null,
    -- Milliseconds since the Unix epoch.
    at         bigint  not null
);

create index transition_by_order on transition (order_no, seq);

create trigger transition_is_never_changed before update on transition
begin
    select raise(abort, 'the transitions of an order are append-only');
end;

create trigger transition_is_never_removed before delete on transition
begin
    select raise(abort, 'the transitions of an order are append-only');
end;
