//! Real servers for tests: started on free ports as an unprivileged user, and removed.
