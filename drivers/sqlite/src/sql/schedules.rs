//! The statements about schedules. What a firing writes is apart from what is declared: it leaves every index alone.

macro_rules! schedule_columns {
    () => {
        "schedule.schedule_id, schedule.life, schedule.seq, schedule.key, schedule.version, schedule.workflow, \
         schedule.\"trigger\", schedule.\"plan\", schedule.input, schedule.standing, schedule.state, \
         schedule.created, schedule.updated"
    };
}

/// Schedules by key, from a JSON array of ids in hexadecimal: the primary key, once for each.
pub(crate) const SCHEDULES: &str = concat!(
    "SELECT ",
    schedule_columns!(),
    " FROM json_each(?) AS wanted CROSS JOIN squid_mesh_schedules AS schedule \
     ON schedule.shard = 0 AND schedule.schedule_id = unhex(wanted.value)"
);

/// Adds a schedule.
pub(crate) const INSERT_SCHEDULE: &str = "INSERT INTO squid_mesh_schedules \
     (seq, standing, state, updated, version, workflow, \"trigger\", \"plan\", input, key, life, created, schedule_id) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Writes what became of a schedule, unless somebody else has, and no index: its primary key.
pub(crate) const UPDATE_SCHEDULE: &str = "UPDATE squid_mesh_schedules SET seq = ?, standing = ?, state = ?, updated = ? \
     WHERE shard = 0 AND schedule_id = ? AND seq = ?";

/// The same, and what was declared of it: its primary key.
pub(crate) const CHANGE_SCHEDULE: &str = "UPDATE squid_mesh_schedules SET seq = ?, standing = ?, state = ?, updated = ?, \
     version = ?, workflow = ?, \"trigger\" = ?, \"plan\" = ?, input = ? \
     WHERE shard = 0 AND schedule_id = ? AND seq = ?";

/// Removes a schedule, unless somebody else has written it: its primary key.
pub(crate) const DELETE_SCHEDULE: &str =
    "DELETE FROM squid_mesh_schedules WHERE shard = 0 AND schedule_id = ? AND seq = ?";

macro_rules! list_schedules {
    ($of:literal) => {
        concat!(
            "SELECT ",
            schedule_columns!(),
            " FROM squid_mesh_schedules AS schedule WHERE ",
            $of,
            " schedule.key > ? AND (? = '[]' OR schedule.standing IN (SELECT value FROM json_each(?))) \
              ORDER BY schedule.key LIMIT ?"
        )
    };
}

/// A page of schedules: `squid_mesh_schedules_by_key`.
pub(crate) const LIST_SCHEDULES: &str = list_schedules!("");
/// A page of the schedules of one workflow: `squid_mesh_schedules_by_workflow`.
pub(crate) const LIST_SCHEDULES_OF_WORKFLOW: &str = list_schedules!("schedule.workflow = ? AND");
