//! Makes a new cluster.

use std::sync::Arc;
use std::time::Duration;

use crate::config::AuthMethod;
use crate::postgres::server::{Limit, LocalServer, PostgresError, Program, files};

use super::{assemble, marker};

const LIMIT: Limit = Limit::Within(Duration::from_secs(300));

impl LocalServer {
    /// Makes a cluster in a data directory that is missing, empty, or left from an unfinished copy of ours. When it is
    /// interrupted, nothing is left that could be taken for a cluster, and it can be run again.
    ///
    /// # Errors
    /// There is something in the data directory, or initdb fails.
    pub async fn initdb(&self) -> Result<(), PostgresError> {
        let config = self.config();
        let files_of = Arc::clone(&config);
        files::blocking("preparing the data directory", move || {
            assemble::make_data_directory(&files_of.pgdata)?;
            if !marker::is_set(&files_of) && !assemble::is_empty(&files_of.pgdata)? {
                return Err(PostgresError::Refused(format!(
                    "\"{}\" is not empty",
                    files_of.pgdata.display()
                )));
            }
            marker::set(&files_of, "initdb runs")?;
            assemble::clean(&files_of)
        })
        .await?;
        let auth = match config.auth {
            AuthMethod::Md5 => "md5",
            AuthMethod::ScramSha256 => "scram-sha-256",
            AuthMethod::Trust | AuthMethod::Cert | AuthMethod::Skip => "trust",
        };
        Program::new(&config.bin_dir, "initdb")
            .writes_to(&config.pgdata)
            .arg("-D")
            .arg(assemble::copy_directory(&config.pgdata))
            .arg("--username")
            .arg(&config.superuser)
            .args(["--encoding", "UTF8", "--auth-local", "trust", "--auth-host", auth])
            .run(LIMIT)
            .await?;
        files::blocking("putting the new cluster in place", move || {
            assemble::put_in_place(&config.pgdata)?;
            marker::clear(&config)
        })
        .await?;
        self.write_settings().await?;
        self.write_hba(&[]).await.map(|_| ())
    }
}
