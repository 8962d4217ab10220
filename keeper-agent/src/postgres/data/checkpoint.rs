//! Writes dirty buffers, so that the next stop or rewind is short.

use std::time::Duration;

use crate::client::within;
use crate::postgres::server::{LocalServer, PostgresError};

/// A checkpoint only makes what follows faster: longer than this it is not waited for.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs one now; on a standby it is a restartpoint.
pub(crate) async fn run(server: &LocalServer) -> Result<(), PostgresError> {
    let session = server.any_session().await?;
    match within(DEADLINE, "a checkpoint", session.batch_execute("CHECKPOINT")).await {
        Ok(done) => done.map_err(PostgresError::sql("checkpoint")),
        Err(late) => {
            tracing::warn!("{late}: continuing without a checkpoint");
            Ok(())
        }
    }
}
