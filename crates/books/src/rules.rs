//! The rules of the books, each with the query for what breaks it.
//!
//! Each query is one pass, or looks up what an index serves: the books are read with tens of thousands of orders in them.

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What is broken, as it is told.
    pub sentence: &'static str,
    /// Gives a text for each row that breaks it.
    pub query: &'static str,
}

const fn rule(sentence: &'static str, query: &'static str) -> Rule {
    Rule { sentence, query }
}

/// Every rule.
pub const RULES: &[Rule] = &[
    // The journal.
    rule(
        "a saga has no journal",
        "select id from saga where not exists (select 1 from journal where saga_id = id)",
    ),
    rule(
        "a journal is of no saga",
        "select distinct 'number ' || (place >> 20) from event where place >> 20 not in (select number from saga)",
    ),
    rule(
        "a journal has a gap",
        "select saga_id from journal group by saga_id having min(seq) <> 0 or count(*) <> max(seq) + 1",
    ),
    rule(
        "a journal was cut off",
        "select id from saga where state_seq > (select max(seq) from journal where saga_id = id)",
    ),
    rule(
        "a saga has no key",
        "select id from saga where not exists (select 1 from saga_key where saga_key.key = saga.key
         and saga_key.definition = saga.definition and saga_id = id)",
    ),
    rule(
        "a key is of no saga, and does not tell how one ended",
        "select key from saga_key where ending is null and not exists (select 1 from saga where id = saga_id)",
    ),
    rule(
        "a saga stands in a state that is none",
        "select id || ' ' || state from saga where state not in
         ('RUNNING', 'COMPENSATING', 'SUCCEEDED', 'COMPENSATED', 'ATTENTION', 'PAUSED', 'RESOLVED')",
    ),
    // The state is an index over the journal. A record's kind is its first field: 8 parks, 15 resolves, 16 and 17 end.
    rule(
        "a saga has ended and its journal has not",
        "select id from saga where state in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') and aside_code is null
         and not exists (select 1 from journal where saga_id = id and substr(record, 1, 2) =
         case state when 'SUCCEEDED' then x'0810' when 'COMPENSATED' then x'0811' else x'080f' end)",
    ),
    rule(
        "a journal has ended and its saga has not",
        "select id from saga where state not in ('SUCCEEDED', 'COMPENSATED', 'RESOLVED') and exists
         (select 1 from journal where saga_id = id and substr(record, 1, 2) in (x'080f', x'0810', x'0811'))",
    ),
    rule(
        "a saga needs a person and does not say why",
        "select id from saga where state = 'ATTENTION' and aside_code is null and not exists
         (select 1 from journal where saga_id = id and substr(record, 1, 2) = x'0808')",
    ),
    // Stock.
    rule(
        "units were lost or made of a SKU",
        "select sku from stock_svc.stock where available + frozen + sold <>
         (select coalesce(sum(quantity), 0) from stock_svc.flow where flow.sku = stock.sku and kind = 'ADD')",
    ),
    rule(
        "the frozen units of a SKU are not those of its flows",
        "select sku from stock_svc.stock where frozen <> (select coalesce(sum(case kind when 'FREEZE' then quantity
         when 'CONFIRM' then -quantity when 'UNFREEZE' then -quantity else 0 end), 0)
         from stock_svc.flow where flow.sku = stock.sku)",
    ),
    rule(
        "the sold units of a SKU are not those of its flows",
        "select sku from stock_svc.stock where sold <> (select coalesce(sum(case kind when 'CONFIRM' then quantity
         when 'RESTOCK' then -quantity else 0 end), 0) from stock_svc.flow where flow.sku = stock.sku)",
    ),
    rule(
        "the frozen units of a SKU are not those of its reservations",
        "select sku from stock_svc.stock left join (select line.sku, sum(quantity) as held
         from stock_svc.reservation_line line join stock_svc.reservation using (order_no)
         where state = 'FROZEN' group by line.sku) using (sku) where frozen <> coalesce(held, 0)",
    ),
    rule(
        "a reservation is frozen for a saga that stands still",
        "select reservation.order_no from stock_svc.reservation join order_svc.orders using (order_no)
         join saga on saga.id = orders.saga_id
         where reservation.state = 'FROZEN' and saga.state in ('SUCCEEDED', 'COMPENSATED')",
    ),
    rule(
        "a reservation is frozen and no saga is left that would settle it",
        "select order_no from stock_svc.reservation where state = 'FROZEN' and not exists
         (select 1 from saga where state not in ('SUCCEEDED', 'COMPENSATED'))",
    ),
    // Points.
    rule(
        "a balance of points is not the sum of its entries",
        "select user_id from points_svc.member where balance <>
         (select coalesce(sum(change), 0) from points_svc.entry where entry.user_id = member.user_id)",
    ),
    rule(
        "a balance of points is not what its last entry left",
        "select user_id from points_svc.member where balance <> (select balance_after from points_svc.entry
         where entry.user_id = member.user_id order by seq desc limit 1)",
    ),
    rule(
        "more points were given back for an order than were taken",
        "select order_no from points_svc.entry where order_no is not null group by order_no having sum(change) > 0",
    ),
    // Money.
    rule(
        "a transaction does not sum to zero",
        "select transaction_no from payment_svc.movement group by transaction_no having sum(amount) <> 0",
    ),
    rule(
        "a balance of money is not the sum of its movements",
        "select id from payment_svc.account left join (select account as moved, sum(amount) as total
         from payment_svc.movement group by account) on moved = id where balance <> coalesce(total, 0)",
    ),
    rule(
        "the balances of a currency do not sum to zero",
        "select currency from payment_svc.account group by currency having sum(balance) <> 0",
    ),
    rule(
        "a wallet was not charged what its payment says",
        "select payment_no from payment_svc.payment where state in ('SUCCESS', 'REFUNDED') and -amount <>
         (select coalesce(sum(m.amount), 0) from payment_svc.movement m join payment_svc.wallet
         on wallet.account = m.account where wallet.user_id = payment.user_id
         and m.transaction_no between 'charge/' || payment_no and 'charge/' || payment_no || '~')",
    ),
    rule(
        "a wallet was not given back what its payment says",
        "select payment_no from payment_svc.payment where refunded <>
         (select coalesce(sum(m.amount), 0) from payment_svc.movement m join payment_svc.wallet
         on wallet.account = m.account where wallet.user_id = payment.user_id
         and m.transaction_no between 'refund/' || payment_no and 'refund/' || payment_no || '~')",
    ),
    rule(
        "a payment that failed has moved money",
        "select payment_no from payment_svc.payment where state in ('FAILED', 'PROCESSING') and exists
         (select 1 from payment_svc.movement
         where transaction_no between 'charge/' || payment_no and 'charge/' || payment_no || '~'
         or transaction_no between 'refund/' || payment_no and 'refund/' || payment_no || '~')",
    ),
    // Orders, and the sagas that placed them.
    rule(
        "an order belongs to no saga",
        // Where sagas are removed for their age, their orders stay, and later their keys go too, from the oldest on.
        "select order_no from order_svc.orders where saga_id not in (select id from saga)
         and saga_id not in (select saga_id from saga_key)
         and saga_id > coalesce((select min(saga_id) from saga_key), '~')",
    ),
    rule(
        "an order's total is not the sum of its lines",
        "select order_no from order_svc.orders where total <> (select coalesce(sum(quantity * unit_price), 0)
         from order_svc.order_line where order_line.order_no = orders.order_no)",
    ),
    rule(
        "an order's state is not its last transition",
        "select order_no from order_svc.orders where state is not (select to_state from order_svc.transition
         where transition.order_no = orders.order_no order by seq desc limit 1)",
    ),
    rule(
        "an order's state is not its saga's",
        "select orders.order_no || ' is ' || orders.state || ', its saga ' || saga.state from order_svc.orders
         join saga on saga.id = orders.saga_id where (saga.state = 'SUCCEEDED' and orders.state in ('CREATED', 'CANCELLED'))
         or (saga.state = 'COMPENSATED' and orders.state <> 'CANCELLED')",
    ),
    rule(
        "an order is being cancelled and no saga is left that would finish it",
        "select order_no from order_svc.orders where state = 'CANCELLING' and not exists
         (select 1 from saga where definition = 'cancel-order' and state not in ('SUCCEEDED', 'COMPENSATED'))",
    ),
    rule(
        "an order's money is not where its state says",
        "select orders.order_no || ' is ' || orders.state from order_svc.orders join saga on saga.id = orders.saga_id
         left join payment_svc.payment on payment.order_no = orders.order_no and payment.state <> 'FAILED'
         where saga.state in ('SUCCEEDED', 'COMPENSATED') and case orders.state
         when 'CANCELLED' then coalesce(payment.state, 'REFUNDED') <> 'REFUNDED'
         when 'CANCELLING' then false
         when 'REFUNDED' then coalesce(payment.state, 'REFUNDED') <> 'REFUNDED'
         when 'RETURNED' then coalesce(payment.state, 'REFUNDED') <> 'REFUNDED'
         else coalesce(payment.state, 'SUCCESS') <> 'SUCCESS' or coalesce(payment.amount, 0) <> orders.paid end",
    ),
    rule(
        "an order's points are not where its state says",
        "select orders.order_no || ' is ' || orders.state from order_svc.orders join saga on saga.id = orders.saga_id
         where saga.state in ('SUCCEEDED', 'COMPENSATED') and orders.state <> 'CANCELLING'
         and (select coalesce(-sum(change), 0) from points_svc.entry where entry.order_no = orders.order_no)
         <> case when orders.state in ('CANCELLED', 'REFUNDED', 'RETURNED') then 0 else points end",
    ),
    rule(
        "an order's stock is not where its state says",
        "select orders.order_no || ' is ' || orders.state || ', its stock ' || coalesce(reservation.state, 'nowhere')
         from order_svc.orders join saga on saga.id = orders.saga_id left join stock_svc.reservation using (order_no)
         where saga.state in ('SUCCEEDED', 'COMPENSATED') and orders.state <> 'CANCELLING'
         and coalesce(reservation.state, 'RELEASED') not in (case
         when orders.state = 'CANCELLED' then 'RELEASED'
         when orders.state in ('REFUNDED', 'RETURNED') then 'RESTOCKED' else 'SOLD' end)",
    ),
];
