//! Numbered migrations, and the refusal of databases that are not ours.

use std::path::Path;

use rusqlite::Connection;

use crate::StoreError;

/// `AXLE` in ASCII, in the header of the file.
const APPLICATION_ID: i64 = 0x4158_4c45;

/// Each brings the schema from the number before to the next; the first makes an empty database schema 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/001.sql"),
    include_str!("migrations/002.sql"),
    include_str!("migrations/003.sql"),
    include_str!("migrations/004.sql"),
    include_str!("migrations/005.sql"),
    include_str!("migrations/006.sql"),
    include_str!("migrations/007.sql"),
    include_str!("migrations/008.sql"),
    include_str!("migrations/009.sql"),
    include_str!("migrations/010.sql"),
    include_str!("migrations/011.sql"),
    include_str!("migrations/012.sql"),
    include_str!("migrations/013.sql"),
    include_str!("migrations/014.sql"),
    include_str!("migrations/015.sql"),
    include_str!("migrations/016.sql"),
    include_str!("migrations/017.sql"),
    include_str!("migrations/018.sql"),
    include_str!("migrations/019.sql"),
    include_str!("migrations/020.sql"),
    include_str!("migrations/021.sql"),
    include_str!("migrations/022.sql"),
    include_str!("migrations/023.sql"),
    include_str!("migrations/024.sql"),
    include_str!("migrations/025.sql"),
    include_str!("migrations/026.sql"),
    include_str!("migrations/027.sql"),
    include_str!("migrations/028.sql"),
    include_str!("migrations/029.sql"),
];

/// Brings a database from the schema that [`version`] found to the newest.
pub(super) fn migrate(conn: &mut Connection, path: &Path, version: usize) -> Result<(), StoreError> {
    for (number, migration) in (1_i64..).zip(MIGRATIONS).skip(version) {
        let tx = conn.transaction()?;
        tx.execute_batch(migration)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", number)?;
        tx.commit()?;
        if version > 0 {
            tracing::info!(path = %path.display(), schema = number, "database migrated");
        }
    }
    if version == 0 {
        tracing::info!(path = %path.display(), schema = MIGRATIONS.len(), "database made");
    }
    Ok(())
}

/// Checks that a database has exactly the newest schema, for those who must not change it.
pub(super) fn require_current(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(conn, path)?;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    Err(StoreError::Schema(format!(
        "{} has schema {found}, this version of Axle needs {}: start the server once to migrate it",
        path.display(),
        MIGRATIONS.len()
    )))
}

/// The schema number of a database that this version can use (0: it is empty), or why it cannot. Changes nothing.
pub(super) fn version(conn: &Connection, path: &Path) -> Result<usize, StoreError> {
    let path = path.display();
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (application, version, objects) == (0, 0, 0) {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Schema(format!("{path} is a database of another program, not of Axle")));
    }
    match usize::try_from(version) {
        Ok(version) if (1..=MIGRATIONS.len()).contains(&version) => Ok(version),
        _ => Err(StoreError::Schema(format!(
            "{path} has schema {version}, this version of Axle knows none above {}: use the version that wrote it, or \
             restore a backup",
            MIGRATIONS.len()
        ))),
    }
}
