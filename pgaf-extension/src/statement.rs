//! Queries that are planned once for the life of a backend.

use std::cell::OnceCell;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{BuiltinOid, PgBuiltInOids, PgOid};
use pgrx::spi::{OwnedPreparedStatement, PreparedStatement, SpiClient, SpiResult, SpiTupleTable};

/// A query and the plan of it. Every table in the text has its schema.
pub(crate) struct Statement {
    text: &'static str,
    arguments: &'static [PgBuiltInOids],
    // Leaked: freed when the process ends, because a destructor would run after Postgres's own.
    prepared: OnceCell<&'static OwnedPreparedStatement>,
}

impl Statement {
    pub(crate) const fn new(text: &'static str, arguments: &'static [BuiltinOid]) -> Self {
        Self { text, arguments, prepared: OnceCell::new() }
    }

    /// Runs it on a snapshot taken now, and so after any lock that was waited for.
    pub(crate) fn run<'conn>(
        &self,
        client: &mut SpiClient<'conn>,
        arguments: &[DatumWithOid<'_>],
    ) -> SpiResult<SpiTupleTable<'conn>> {
        let plan = match self.prepared.get() {
            Some(plan) => *plan,
            None => self.keep(client.prepare_mut(self.text, &self.types())?),
        };
        client.update(plan, None, arguments)
    }

    /// Runs a query that only reads, on the snapshot of the caller and without a transaction id.
    pub(crate) fn read<'conn>(
        &self,
        client: &SpiClient<'conn>,
        arguments: &[DatumWithOid<'_>],
    ) -> SpiResult<SpiTupleTable<'conn>> {
        let plan = match self.prepared.get() {
            Some(plan) => *plan,
            None => self.keep(client.prepare(self.text, &self.types())?),
        };
        client.select(plan, None, arguments)
    }

    fn types(&self) -> Vec<PgOid> {
        self.arguments.iter().map(|oid| PgOid::from(oid.value())).collect()
    }

    fn keep(&self, plan: PreparedStatement<'_>) -> &'static OwnedPreparedStatement {
        let plan: &'static _ = Box::leak(Box::new(plan.keep()));
        self.prepared.get_or_init(|| plan)
    }
}

/// Declares statements: `NAME(argument types) = "text";`.
macro_rules! statements {
    ($($(#[$about:meta])* $name:ident($($argument:ident),* $(,)?) = $text:expr;)+) => {
        thread_local! {
            $($(#[$about])* static $name: $crate::statement::Statement = const {
                $crate::statement::Statement::new($text, &[$(::pgrx::pg_sys::BuiltinOid::$argument),*])
            };)+
        }
    };
}

pub(crate) use statements;
