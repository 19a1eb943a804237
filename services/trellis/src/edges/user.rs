//! Calls to the user service.

use trellis_resilience::policy::{Criticality, MethodPolicy};

use super::{Line, audit, line, seconds};

pub(super) fn from_gateway() -> Vec<Line> {
    // Hashing a password takes its time, and waits its turn.
    let hashing = MethodPolicy::default().timeout(seconds(10)).attempt_timeout(seconds(10));
    let read = MethodPolicy::safe().timeout(seconds(2));
    let write = MethodPolicy::idempotent().timeout(seconds(3));
    let none = "none: the customer tries again";
    vec![
        // It has no key: a lost answer is found out by signing in.
        line("/trellis.user.v1.UserService/CreateUser", hashing.clone(), none),
        line("/trellis.user.v1.UserService/CreateSession", hashing, none),
        line("/trellis.user.v1.UserService/AuthenticateSession", write.clone(), none),
        line("/trellis.user.v1.UserService/DeleteSession", write.clone(), none),
        line("/trellis.user.v1.UserService/GetUser", read, none),
        line("/trellis.user.v1.UserService/UpdateUser", write.clone(), none),
        line("/trellis.user.v1.UserService/DeleteUser", write, none),
        Line {
            policy: MethodPolicy::safe().timeout(seconds(600)).criticality(Criticality::Sheddable),
            ..audit("/trellis.user.v1.UserService/AuditUsers")
        },
    ]
}
