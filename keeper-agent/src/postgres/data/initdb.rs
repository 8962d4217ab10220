//! Makes a new cluster.

use std::sync::Arc;
use std::time::Duration;

use crate::config::AuthMethod;
use crate::postgres::configuration::{fresh, hba};
use crate::postgres::server::{Limit, LocalServer, PostgresError, Program};

use super::{assemble, locale, marker};

const LIMIT: Limit = Limit::Within(Duration::from_secs(300));

impl LocalServer {
    /// Makes a cluster in a data directory that is missing, empty, or left from an unfinished copy of ours. When it is
    /// interrupted, nothing is left that could be taken for a cluster, and it can be run again.
    ///
    /// # Errors
    /// There is something in the data directory, or initdb fails.
    pub async fn initdb(&self) -> Result<(), PostgresError> {
        self.initdb_with(&[]).await
    }

    /// The same, with more options of initdb.
    ///
    /// # Errors
    /// As `initdb`.
    pub async fn initdb_with(&self, options: &[String]) -> Result<(), PostgresError> {
        let config = self.config();
        let files_of = Arc::clone(&config);
        self.files()
            .run("preparing the data directory", move || {
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
        // With a password for everybody, initdb would ask for that of the superuser.
        let (local, host) = match config.auth {
            AuthMethod::Md5 => ("md5", "md5"),
            AuthMethod::ScramSha256 => ("scram-sha-256", "scram-sha-256"),
            AuthMethod::Cert => ("peer", "scram-sha-256"),
            AuthMethod::Trust | AuthMethod::Skip => ("trust", "trust"),
        };
        let copy = assemble::copy_directory(&config.pgdata);
        Program::new(&config.bin_dir, "initdb")
            .writes_to(&config.pgdata)
            .arg("-D")
            .arg(&copy)
            .arg("--username")
            .arg(&config.superuser)
            .args(["--auth-local", if local == "trust" { local } else { "peer" }, "--auth-host", host])
            .args(locale::options(|name| std::env::var(name).ok()))
            .args(options)
            .run(LIMIT)
            .await?;
        let files_of = Arc::clone(&config);
        self.files()
            .run("configuring the new cluster", move || {
                hba::set_local_method(&files_of, &copy.join("pg_hba.conf"), local)?;
                fresh::include(&copy.join("postgresql.conf"))
            })
            .await?;
        self.files()
            .run("putting the new cluster in place", move || {
                assemble::put_in_place(&config.pgdata)?;
                marker::clear(&config)
            })
            .await?;
        self.write_settings().await?;
        self.write_hba(&[]).await.map(|_| ())
    }
}
