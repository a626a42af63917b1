//! The handlers: proto to domain and back, and nothing else.

mod wire;

use ::store::Database;
use clock::Clock;
use facade::{Call, Facade, Failure, Inbox, Reply, page::Page};
use proto::stock::v1::{
    AddStockRequest, AddStockResponse, ConfirmRequest, ConfirmResponse, FreezeRequest,
    FreezeResponse, GetProductRequest, GetProductResponse, GetStockRequest, GetStockResponse,
    ListFlowsRequest, ListFlowsResponse, ListProductsRequest, ListProductsResponse, QuoteRequest,
    QuoteResponse, RestockRequest, RestockResponse, UnfreezeRequest, UnfreezeResponse,
    UpsertProductRequest, UpsertProductResponse,
};

use crate::{
    handlers::stock_service::StockService,
    stock::{Line, Settlement, in_lock_order},
    store,
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

impl StockService for Service {
    async fn quote(
        &self,
        call: Call,
        request: QuoteRequest,
    ) -> Result<Reply<QuoteResponse>, Failure> {
        call.step_key()?;
        let skus = request.lines.iter().map(|line| line.sku.as_str());
        let mut quotes = store::quotes(&self.database, skus).await?;
        let lines = request.lines.into_iter().map(|line| {
            let quote = quotes.remove(&line.sku);
            wire::quoted(line.sku, quote)
        });
        Ok(QuoteResponse { result: None, lines: lines.collect() }.into())
    }

    async fn freeze(
        &self,
        call: Call,
        request: FreezeRequest,
    ) -> Result<Reply<FreezeResponse>, Failure> {
        let FreezeRequest { order_no, lines } = request;
        let (taken, at) = (in_lock_order(wire::lines(&lines)), self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                store::freeze(connection, &order_no, &taken, at)?;
                Ok(FreezeResponse { result: None, order_no, lines })
            })
            .await
    }

    async fn confirm(
        &self,
        call: Call,
        request: ConfirmRequest,
    ) -> Result<Reply<ConfirmResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                let sold = store::settle(connection, &order_no, Settlement::CONFIRM, at)?;
                Ok(ConfirmResponse { result: None, lines: wire::to_wire(sold) })
            })
            .await
    }

    async fn unfreeze(
        &self,
        call: Call,
        _request: UnfreezeRequest,
    ) -> Result<Reply<UnfreezeResponse>, Failure> {
        let at = self.clock.now();
        self.inbox
            .undo(&call, move |connection, frozen: FreezeResponse| {
                // The order is that of the call that is undone, not the one in the undo's own request.
                let order_no = frozen.order_no;
                let released = store::settle(connection, &order_no, Settlement::UNFREEZE, at)?;
                Ok(UnfreezeResponse { result: None, lines: wire::to_wire(released) })
            })
            .await
    }

    async fn restock(
        &self,
        call: Call,
        request: RestockRequest,
    ) -> Result<Reply<RestockResponse>, Failure> {
        let (order_no, at) = (request.order_no, self.clock.now());
        self.inbox
            .call(&call, move |connection| {
                let back = store::settle(connection, &order_no, Settlement::RESTOCK, at)?;
                Ok(RestockResponse { result: None, lines: wire::to_wire(back) })
            })
            .await
    }

    async fn upsert_product(
        &self,
        call: Call,
        request: UpsertProductRequest,
    ) -> Result<Reply<UpsertProductResponse>, Failure> {
        let product = wire::product(&request)?;
        self.inbox
            .request(&call, &request.request_id, move |connection| {
                store::upsert(connection, &product)?;
                Ok(UpsertProductResponse { result: None, product: Some(product.into()) })
            })
            .await
    }

    async fn add_stock(
        &self,
        call: Call,
        request: AddStockRequest,
    ) -> Result<Reply<AddStockResponse>, Failure> {
        let line = Line { sku: request.sku, quantity: request.quantity };
        let at = self.clock.now();
        self.inbox
            .request(&call, &request.request_id, move |connection| {
                let units = store::add(connection, &line, at)?;
                let stock = Some(wire::stock(line.sku, units));
                Ok(AddStockResponse { result: None, stock })
            })
            .await
    }

    async fn get_product(
        &self,
        _call: Call,
        request: GetProductRequest,
    ) -> Result<Reply<GetProductResponse>, Failure> {
        let product = store::product(&self.database, &request.sku).await?;
        Ok(GetProductResponse { result: None, product: Some(product.into()) }.into())
    }

    async fn list_products(
        &self,
        _call: Call,
        request: ListProductsRequest,
    ) -> Result<Reply<ListProductsResponse>, Failure> {
        let page = Page::<String>::read(request.page_size, &request.page_token, &[])?;
        // No SKU is empty, so the first page begins behind the empty SKU.
        let after = page.cursor.as_deref().unwrap_or_default();
        let found = store::products(&self.database, after, page.fetch()).await?;
        let (products, next_page_token) =
            page.cut(found, |product| (product.sku.clone(), product.into()));
        Ok(ListProductsResponse { result: None, products, next_page_token }.into())
    }

    async fn get_stock(
        &self,
        _call: Call,
        request: GetStockRequest,
    ) -> Result<Reply<GetStockResponse>, Failure> {
        let units = store::units(&self.database, &request.sku).await?;
        let stock = Some(wire::stock(request.sku, units));
        Ok(GetStockResponse { result: None, stock }.into())
    }

    async fn list_flows(
        &self,
        _call: Call,
        request: ListFlowsRequest,
    ) -> Result<Reply<ListFlowsResponse>, Failure> {
        let ListFlowsRequest { sku, page_size, page_token } = request;
        let page = Page::<i64>::read(page_size, &page_token, &[&sku])?;
        // An unknown SKU is an error, unlike a SKU without changes.
        store::units(&self.database, &sku).await?;
        let after = page.cursor.unwrap_or_default();
        let found = store::flows(&self.database, &sku, after, page.fetch()).await?;
        let (flows, next_page_token) = page.cut(found, |flow| (flow.seq, flow.into()));
        Ok(ListFlowsResponse { result: None, flows, next_page_token }.into())
    }
}
