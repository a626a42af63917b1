//! What labels a query's result has, worked out from those of the metrics that it asks: a query for what nobody exports gives
//! no error, but nothing, and so does one that matches series which never have the same labels.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::{
    label::Matchers,
    parser::{
        self, AggregateExpr, BinModifier, BinaryExpr, Call, Expr, LabelModifier,
        VectorMatchCardinality, VectorSelector,
    },
};

/// Names of labels.
pub(crate) type Labels = BTreeSet<String>;

/// The series that can be asked for: their labels by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(BTreeMap<String, Labels>);

/// What a part of a query gives.
enum Gives {
    /// A number, or a text.
    Scalar,
    Series(Labels),
}

impl Known {
    /// Series of this name have these labels.
    pub(crate) fn add(&mut self, name: &str, labels: Labels) {
        self.0.entry(name.to_owned()).or_default().extend(labels);
    }

    /// The labels of a query's result.
    ///
    /// # Errors
    /// What it asks for that is not there.
    pub(crate) fn labels_of(&self, query: &str) -> Result<Labels, String> {
        let told = |why: String| format!("{why}, in {query}");
        match self.gives(&parser::parse(query).map_err(told)?).map_err(told)? {
            Gives::Series(labels) => Ok(labels),
            Gives::Scalar => Ok(Labels::new()),
        }
    }

    fn gives(&self, expression: &Expr) -> Result<Gives, String> {
        match expression {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(Gives::Scalar),
            Expr::Paren(inner) => self.gives(&inner.expr),
            Expr::Unary(inner) => self.gives(&inner.expr),
            Expr::Subquery(inner) => self.gives(&inner.expr),
            Expr::VectorSelector(selector) => self.selected(selector),
            Expr::MatrixSelector(selector) => self.selected(&selector.vs),
            Expr::Aggregate(aggregate) => self.aggregated(aggregate),
            Expr::Binary(binary) => self.combined(binary),
            Expr::Call(call) => self.called(call),
            Expr::Extension(_) => Err("an extension of the language".to_owned()),
        }
    }

    fn selected(&self, selector: &VectorSelector) -> Result<Gives, String> {
        let name = selector.name.as_ref().ok_or("a selector names no metric")?;
        let labels = self.0.get(name).ok_or(format!("there is no metric {name}"))?;
        for label in names(&selector.matchers) {
            has(labels, label).map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(Gives::Series(labels.clone()))
    }

    fn aggregated(&self, aggregate: &AggregateExpr) -> Result<Gives, String> {
        let inner = self.series(&aggregate.expr)?;
        let is_choice = matches!(aggregate.op.to_string().as_str(), "topk" | "bottomk");
        Ok(Gives::Series(match &aggregate.modifier {
            _ if is_choice => inner,
            None => Labels::new(),
            Some(modifier) => kept(&inner, modifier)?,
        }))
    }

    fn combined(&self, binary: &BinaryExpr) -> Result<Gives, String> {
        let (left, right) = match (self.gives(&binary.lhs)?, self.gives(&binary.rhs)?) {
            (Gives::Series(left), Gives::Series(right)) => (left, right),
            (Gives::Series(labels), Gives::Scalar) | (Gives::Scalar, Gives::Series(labels)) => {
                return Ok(Gives::Series(labels));
            }
            (Gives::Scalar, Gives::Scalar) => return Ok(Gives::Scalar),
        };
        let modifier = binary.modifier.as_ref();
        let operator = binary.op.to_string();
        if operator == "or" {
            return Ok(Gives::Series(left.intersection(&right).cloned().collect()));
        }
        let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
        let (of_left, of_right) = match matching {
            None => (left.clone(), right.clone()),
            Some(modifier) => (kept(&left, modifier)?, kept(&right, modifier)?),
        };
        if of_left != of_right {
            return Err(format!("series with {of_left:?} never match those with {of_right:?}"));
        }
        let is_set = matches!(operator.as_str(), "and" | "unless");
        Ok(Gives::Series(match modifier.map(|BinModifier { card, .. }| card) {
            Some(VectorMatchCardinality::ManyToOne(more)) => with(left, &more.labels),
            Some(VectorMatchCardinality::OneToMany(more)) => with(right, &more.labels),
            _ if is_set || is_comparison(&operator) => left,
            _ => of_left,
        }))
    }

    fn called(&self, call: &Call) -> Result<Gives, String> {
        let mut arguments = Vec::new();
        for argument in &call.args.args {
            arguments.push(self.gives(argument)?);
        }
        let labels = arguments.into_iter().find_map(|argument| match argument {
            Gives::Series(labels) => Some(labels),
            Gives::Scalar => None,
        });
        if call.func.name == "vector" {
            return Ok(Gives::Series(Labels::new()));
        }
        let Some(mut labels) = labels else { return Ok(Gives::Scalar) };
        match call.func.name {
            "absent" | "absent_over_time" => labels.clear(),
            "histogram_quantile" => {
                has(&labels, "le")?;
                labels.remove("le");
            }
            "scalar" => return Ok(Gives::Scalar),
            "label_replace" | "label_join" => return Err(format!("{}: not read", call.func.name)),
            _ => {}
        }
        Ok(Gives::Series(labels))
    }

    fn series(&self, expression: &Expr) -> Result<Labels, String> {
        match self.gives(expression)? {
            Gives::Series(labels) => Ok(labels),
            Gives::Scalar => Err("a number cannot be aggregated".to_owned()),
        }
    }
}

/// Checks that series with `labels` have this one.
pub(crate) fn has(labels: &Labels, label: &str) -> Result<(), String> {
    if labels.contains(label) {
        return Ok(());
    }
    Err(format!("there is no label {label} among {labels:?}"))
}

fn names(matchers: &Matchers) -> impl Iterator<Item = &str> {
    let all = matchers.matchers.iter().chain(matchers.or_matchers.iter().flatten());
    all.map(|matcher| matcher.name.as_str())
}

fn kept(labels: &Labels, modifier: &LabelModifier) -> Result<Labels, String> {
    match modifier {
        LabelModifier::Include(by) => {
            by.labels.iter().try_for_each(|label| has(labels, label))?;
            Ok(by.labels.iter().cloned().collect())
        }
        LabelModifier::Exclude(without) => {
            without.labels.iter().try_for_each(|label| has(labels, label))?;
            Ok(labels.iter().filter(|label| !without.labels.contains(label)).cloned().collect())
        }
    }
}

fn with(mut labels: Labels, more: &[String]) -> Labels {
    labels.extend(more.iter().cloned());
    labels
}

fn is_comparison(operator: &str) -> bool {
    matches!(operator, "==" | "!=" | ">" | "<" | ">=" | "<=")
}

mod tests {
    use super::*;

    fn known() -> Known {
        let mut known = Known::default();
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        known.add("calls_total", labels(&["method", "code", "instance"]));
        known.add("seconds_bucket", labels(&["method", "le", "instance"]));
        known.add("size", labels(&["instance"]));
        known
    }

    #[test]
    fn the_labels_of_a_result_follow_from_those_of_what_is_asked() {
        for (query, labels) in [
            ("calls_total{code='OK'}", "code instance method"),
            ("sum by (method) (rate(calls_total[5m]))", "method"),
            ("sum without (code) (calls_total) > 1", "instance method"),
            ("sum(calls_total)", ""),
            ("histogram_quantile(0.9, sum by (le, method) (rate(seconds_bucket[5m])))", "method"),
            ("sum by (instance) (calls_total) / size", "instance"),
            ("calls_total * on (instance) group_left size", "code instance method"),
            ("absent(size)", ""),
            ("topk(3, sum by (method) (calls_total))", "method"),
            ("size or sum by (instance) (calls_total)", "instance"),
            ("time() - 1", ""),
        ] {
            let found = known().labels_of(query).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>().join(" "), labels, "{query}");
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (query, why) in [
            ("call_total", "no metric call_total"),
            ("calls_total{status='OK'}", "no label status"),
            ("calls_total{status!='OK'}", "no label status"),
            ("sum by (status) (calls_total)", "no label status"),
            ("sum without (status) (calls_total)", "no label status"),
            ("sum by (method) (calls_total) / size", "never match"),
            ("size and calls_total", "never match"),
            ("size and on (status) calls_total", "no label status"),
            ("histogram_quantile(0.9, size)", "no label le"),
            ("sum by (method (calls_total)", "in sum by"),
        ] {
            let told = known().labels_of(query).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
