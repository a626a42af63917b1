//! A small shop's databases, right to the last row.

pub(crate) const ORCHESTRATOR: &str = "orchestrator.db";
pub(crate) const ORDER: &str = "order.db";
pub(crate) const STOCK: &str = "stock.db";
pub(crate) const POINTS: &str = "points.db";
pub(crate) const PAYMENT: &str = "payment.db";

pub(crate) const MIGRATIONS: [(&str, &str); 5] = [
    (ORCHESTRATOR, include_str!("../../../../orchestrator/migrations/0001_journal.sql")),
    (ORDER, include_str!("../../../../order-svc/migrations/0001_order.sql")),
    (STOCK, include_str!("../../../../stock-svc/migrations/0001_stock.sql")),
    (POINTS, include_str!("../../../../points-svc/migrations/0001_points.sql")),
    (PAYMENT, include_str!("../../../../payment-svc/migrations/0001_payment.sql")),
];

/// Three orders of ada's: `paid` stands, `declined` was undone at payment, `refunded` was paid and cancelled.
pub(crate) const WORLD: [(&str, &str); 5] = [
    (
        ORCHESTRATOR,
        "insert into definition values
         ('h', 'place-order', 1, '', '', x'', 0), ('c', 'cancel-order', 1, '', '', x'', 0);
         insert into saga (number, id, definition_hash, definition, version, key, request, trace, deadline, created_at,
                           updated_at, state, state_seq) values
         (1, 's-paid', 'h', 'place-order', 1, '1', x'', '', 0, 0, 0, 'SUCCEEDED', 2),
         (2, 's-declined', 'h', 'place-order', 1, '2', x'', '', 0, 0, 0, 'COMPENSATED', 1),
         (3, 's-refunded', 'h', 'place-order', 1, '3', x'', '', 0, 0, 0, 'SUCCEEDED', 1),
         (4, 's-cancel', 'c', 'cancel-order', 1, '4', x'', '', 0, 0, 0, 'SUCCEEDED', 1);
         insert into saga_key (key, definition, request_hash, saga_id, ending, until) values
         ('1', 'place-order', x'', 's-paid', null, null), ('2', 'place-order', x'', 's-declined', null, null),
         ('3', 'place-order', x'', 's-refunded', null, null), ('4', 'cancel-order', x'', 's-cancel', null, null),
         ('0', 'place-order', x'', 's-removed', x'00', 7);
         insert into event values
         (1 << 20 | 0, 0, x'0801', x''), (1 << 20 | 1, 0, x'0803', x''), (1 << 20 | 2, 0, x'0810', x''),
         (2 << 20 | 0, 0, x'0801', x''), (2 << 20 | 1, 0, x'0811', x''),
         (3 << 20 | 0, 0, x'0801', x''), (3 << 20 | 1, 0, x'0810', x''),
         (4 << 20 | 0, 0, x'0801', x''), (4 << 20 | 1, 0, x'0810', x'');",
    ),
    (
        ORDER,
        "insert into orders values
         (1, 'paid', 'ada', 'PAID', 0, 'EUR', 300, 10, 290, 's-paid', 't-1', null, 0),
         (2, 'declined', 'ada', 'CANCELLED', 0, 'EUR', 200, 5, null, 's-declined', 't-2', null, 0),
         (3, 'refunded', 'ada', 'REFUNDED', 0, 'EUR', 100, 5, 95, 's-refunded', null, 'k', 0);
         insert into order_line values
         ('paid', 1, 'tea', 3, 100), ('declined', 1, 'tea', 2, 100), ('refunded', 1, 'tea', 1, 100);
         insert into transition values
         (1, 'paid', null, 'CREATED', '', 0), (2, 'paid', 'CREATED', 'PAID', '', 0),
         (3, 'declined', null, 'CREATED', '', 0), (4, 'declined', 'CREATED', 'CANCELLED', '', 0),
         (5, 'refunded', 'CANCELLING', 'REFUNDED', '', 0);",
    ),
    (
        STOCK,
        "insert into product values ('tea', 'Tea', 'EUR', 100, 1);
         insert into stock values ('tea', 7, 0, 3);
         insert into reservation values
         ('paid', 'SOLD', 0), ('declined', 'RELEASED', 0), ('refunded', 'RESTOCKED', 0);
         insert into reservation_line values ('paid', 'tea', 3), ('declined', 'tea', 2), ('refunded', 'tea', 1);
         insert into flow values (1, 'tea', 'ADD', 10, null, 0),
         (2, 'tea', 'FREEZE', 3, 'paid', 0), (3, 'tea', 'CONFIRM', 3, 'paid', 0),
         (4, 'tea', 'FREEZE', 2, 'declined', 0), (5, 'tea', 'UNFREEZE', 2, 'declined', 0),
         (6, 'tea', 'FREEZE', 1, 'refunded', 0), (7, 'tea', 'CONFIRM', 1, 'refunded', 0),
         (8, 'tea', 'RESTOCK', 1, 'refunded', 0);",
    ),
    (
        POINTS,
        "insert into member values ('ada', 0, 90);
         insert into entry values (1, 'ada', 'EARN', 100, 100, null, 0), (2, 'ada', 'SPEND', -10, 90, 'paid', 0),
         (3, 'ada', 'SPEND', -5, 85, 'declined', 0), (4, 'ada', 'REFUND', 5, 90, 'declined', 0),
         (5, 'ada', 'SPEND', -5, 85, 'refunded', 0), (6, 'ada', 'REFUND', 5, 90, 'refunded', 0);",
    ),
    (
        PAYMENT,
        "insert into account values ('bank/EUR', 'EUR', -1000), ('shop/EUR', 'EUR', 290), ('ada', 'EUR', 710);
         insert into wallet values ('ada', 'ada');
         insert into movement values ('top-up/1', 'bank/EUR', -1000, 0), ('top-up/1', 'ada', 1000, 0),
         ('charge/P-1', 'ada', -290, 0), ('charge/P-1', 'shop/EUR', 290, 0),
         ('charge/P-3', 'ada', -95, 0), ('charge/P-3', 'shop/EUR', 95, 0),
         ('refund/P-3', 'ada', 95, 0), ('refund/P-3', 'shop/EUR', -95, 0);
         insert into payment values ('P-1', 'paid', 'ada', 'SUCCESS', 'EUR', 290, 0, null, 0),
         ('P-2', 'declined', 'ada', 'FAILED', 'EUR', 195, 0, 'INSUFFICIENT_FUNDS', 0),
         ('P-3', 'refunded', 'ada', 'REFUNDED', 'EUR', 95, 95, null, 0);",
    ),
];
