//! The pretend Salesforce over HTTP, as clients meet it.

mod asking;
mod consent;
mod desk;
mod faults;
mod jobs;
mod knobs;
mod lifetime;
mod login;
mod outside;
mod rows;
