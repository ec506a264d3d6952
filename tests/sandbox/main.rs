//! The pretend Salesforce over HTTP, as clients meet it.

mod asking;
mod desk;
mod faults;
mod jobs;
mod lifetime;
mod login;
mod outside;
mod rows;
