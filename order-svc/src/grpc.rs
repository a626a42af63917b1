//! The handlers: proto to domain and back, and nothing else.

mod wire;

use ::store::Database;
use clock::Clock;
use facade::{Call, Facade, Failure, Inbox, Reply, page::Page};
use proto::order::v1::{
    AbandonCancelRequest, AbandonCancelResponse, BeginCancelRequest, BeginCancelResponse,
    CancelOrderRequest, CancelOrderResponse, CompleteOrderRequest, CompleteOrderResponse,
    CreateOrderRequest, CreateOrderResponse, FinishCancelRequest, FinishCancelResponse,
    GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, MarkPaidRequest,
    MarkPaidResponse, OrderState, ShipOrderRequest, ShipOrderResponse,
};

use crate::{
    error::aborted_if_still_placing,
    handlers::order_service::OrderService,
    moves::{self, CancelRequest},
    order::OrderAction,
    store::{self, Filter},
};

/// The service on its database.
pub(crate) struct Service {
    database: Database,
    inbox: Inbox,
    clock: Clock,
}

impl Service {
    pub(crate) fn new(database: Database, facade: &Facade) -> Self {
        let (inbox, clock) = (facade.inbox(database.clone()), facade.clock().clone());
        Self { database, inbox, clock }
    }
}

impl OrderService for Service {
    async fn create_order(
        &self,
        call: Call,
        request: CreateOrderRequest,
    ) -> Result<Reply<CreateOrderResponse>, Failure> {
        let facts = wire::facts(&request)?;
        let (saga_id, at) = (call.saga_id().to_owned(), self.clock.now());
        // The number is made outside the work, which may run again and must then name the same order.
        let order_no = moves::new_order_no(at);
        self.inbox
            .call(&call, move |connection| {
                let (order, bill) = moves::place(connection, &facts, order_no, saga_id, at)?;
                Ok(wire::created(order, bill))
            })
            .await
    }

    async fn mark_paid(
        &self,
        call: Call,
        request: MarkPaidRequest,
    ) -> Result<Reply<MarkPaidResponse>, Failure> {
        let paid = wire::money("paid", request.paid.as_ref())?;
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                let order = moves::mark_paid(connection, &order_no, paid, at)?;
                let state = wire::state(order.state).into();
                Ok(MarkPaidResponse { result: None, state, paid: Some(paid.into()) })
            })
            .await
    }

    async fn cancel_order(
        &self,
        call: Call,
        request: CancelOrderRequest,
    ) -> Result<Reply<CancelOrderResponse>, Failure> {
        let (reason, at) = (request.reason, self.clock.now());
        self.inbox
            .undo(&call, move |connection, created: CreateOrderResponse| {
                let (order_no, step) = (created.order_no, OrderAction::UndoPlacing);
                let order = moves::apply_action(connection, &order_no, step, &reason, at)?;
                let state = wire::state(order.state).into();
                Ok(CancelOrderResponse { result: None, state })
            })
            .await
    }

    async fn begin_cancel(
        &self,
        call: Call,
        request: BeginCancelRequest,
    ) -> Result<Reply<BeginCancelResponse>, Failure> {
        let (key, at) = (call.step_key()?.to_string(), self.clock.now());
        let BeginCancelRequest { order_no, user_id, reason, was_placing } = request;
        let request = CancelRequest { order_no, user_id, reason, was_placing, key };
        self.inbox
            .call(&call, move |connection| {
                let order = moves::begin_cancel(connection, request, at)?;
                let state = wire::state(order.state).into();
                let (refund, points) = order.amount_taken();
                Ok(BeginCancelResponse { result: None, state, refund: Some(refund.into()), points })
            })
            .await
            .map_err(aborted_if_still_placing)
    }

    async fn abandon_cancel(
        &self,
        call: Call,
        request: AbandonCancelRequest,
    ) -> Result<Reply<AbandonCancelResponse>, Failure> {
        // Neither the request nor the answer of the call that is undone names the order: its key does.
        let (key, at) = (call.step_key()?.of_call().to_string(), self.clock.now());
        let reason = request.reason;
        self.inbox
            .undo(&call, move |connection, begun: BeginCancelResponse| {
                // Its placing was undone, so no cancel was begun that could be abandoned.
                if begun.state() == OrderState::Cancelled {
                    return Ok(AbandonCancelResponse { result: None, state: begun.state });
                }
                let order = moves::abandon_cancel(connection, &key, &reason, at)?;
                let state = wire::state(order.state).into();
                Ok(AbandonCancelResponse { result: None, state })
            })
            .await
    }

    async fn finish_cancel(
        &self,
        call: Call,
        request: FinishCancelRequest,
    ) -> Result<Reply<FinishCancelResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                let order =
                    moves::apply_action(connection, &order_no, OrderAction::FinishCancel, "", at)?;
                let state = wire::state(order.state).into();
                Ok(FinishCancelResponse { result: None, state })
            })
            .await
    }

    async fn ship_order(
        &self,
        call: Call,
        request: ShipOrderRequest,
    ) -> Result<Reply<ShipOrderResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .request(&call, &request.request_id, move |connection| {
                let order = moves::apply_action(connection, &order_no, OrderAction::Ship, "", at)?;
                let order = Some(store::detailed(connection, order)?.into());
                Ok(ShipOrderResponse { result: None, order })
            })
            .await
    }

    async fn complete_order(
        &self,
        call: Call,
        request: CompleteOrderRequest,
    ) -> Result<Reply<CompleteOrderResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .request(&call, &request.request_id, move |connection| {
                let order =
                    moves::apply_action(connection, &order_no, OrderAction::Complete, "", at)?;
                let order = Some(store::detailed(connection, order)?.into());
                Ok(CompleteOrderResponse { result: None, order })
            })
            .await
    }

    async fn get_order(
        &self,
        _call: Call,
        request: GetOrderRequest,
    ) -> Result<Reply<GetOrderResponse>, Failure> {
        let found = store::detail(&self.database, &request.order_no).await?;
        Ok(GetOrderResponse { result: None, order: Some(found.into()) }.into())
    }

    async fn list_orders(
        &self,
        _call: Call,
        request: ListOrdersRequest,
    ) -> Result<Reply<ListOrdersResponse>, Failure> {
        let ListOrdersRequest { user_id, state, page_size, page_token } = request;
        let state = wire::wanted_state(state)?;
        let page = Page::<i64>::read(page_size, &page_token, &[&user_id, state])?;
        let filter = Filter { user_id, state: state.to_owned() };
        let before = page.cursor.unwrap_or(i64::MAX);
        let limit = page.fetch();
        let fill = move |orders: store::Details<'_>| {
            page.fill(orders.map(|read| read.map(|(seq, detail)| (seq, detail.into()))))
        };
        let (orders, next_page_token) =
            store::page(&self.database, filter, before, limit, fill).await?;
        Ok(ListOrdersResponse { result: None, orders, next_page_token }.into())
    }
}

#[cfg(test)]
mod tests;
