#!/usr/bin/env node
// Drives the sandbox through jsforce, a client that nobody here wrote, and compares its answers.
//
//     NODE_PATH=…/node_modules node check_jsforce.cjs target/debug/ctibridge

'use strict';

const { spawn } = require('child_process');
const crypto = require('crypto');
const path = require('path');
const readline = require('readline');
const { isDeepStrictEqual, inspect } = require('util');
const { Connection, OAuth2 } = require('jsforce');

const EVA = '003000000000001AAA';
const MOLL = '003000000000002AAA';
const FIRM = '001000000000001AAA';
const VERSION = '68.0';
let checks = 0;

function same(found, wanted, what) {
  checks += 1;
  if (!isDeepStrictEqual(found, wanted)) {
    throw new Error(`${what}:\n  found  ${inspect(found)}\n  wanted ${inspect(wanted)}`);
  }
}

async function refused(code, work, what) {
  try {
    await work();
  } catch (error) {
    same(error.errorCode ?? error.name, code, `${what}: ${error.message}`);
    return error;
  }
  throw new Error(`${what}: not refused`);
}

class Org {
  constructor(known) {
    Object.assign(this, known);
  }

  async turn(knobs) {
    const answer = await fetch(`${this.url}/sandbox/knobs`, { method: 'POST', body: JSON.stringify(knobs) });
    same(answer.status, 200, await answer.text());
  }

  oauth2(more = {}) {
    return {
      loginUrl: this.url, clientId: this.client_id, clientSecret: this.client_secret,
      redirectUri: 'http://localhost:8461/callback', ...more,
    };
  }

  connection(more = {}) {
    return new Connection({ loginUrl: this.url, version: VERSION, oauth2: this.oauth2(), ...more });
  }

  async byClient() {
    const connection = this.connection();
    await connection.authorize({ grant_type: 'client_credentials' });
    return connection;
  }
}

function assertion(org, key) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: org.client_id, sub: org.username, aud: 'https://login.salesforce.com', exp: Math.floor(Date.now() / 1000) + 120,
  };
  const signed = `${part({ alg: 'RS256' })}.${part(claims)}`;
  return `${signed}.${crypto.sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
}

async function loggingIn(org) {
  const password = org.password + org.security_token;
  const soap = new Connection({ loginUrl: org.url, version: '59.0' });
  const user = await soap.login(org.username, password);
  same(user.organizationId.slice(0, 3), '00D', 'SOAP login tells the organization');
  same((await soap.query('SELECT COUNT() FROM Contact')).totalSize, 3, 'a session by SOAP works');
  await soap.logout();
  await refused('INVALID_LOGIN', () => new Connection({ loginUrl: org.url, version: '59.0' })
    .loginBySoap(org.username, 'wrong'), 'a wrong password by SOAP').catch((error) => {
    same(/INVALID_LOGIN/.test(error.message), true, error.message);
  });
  const byPassword = org.connection();
  const info = await byPassword.login(org.username, password);
  same(info.id.slice(0, 3), '005', 'the password grant tells the user');
  await refused('invalid_grant', () => org.connection().login(org.username, 'wrong'), 'a wrong password');
  await refused('invalid_client', () => org.connection({ oauth2: org.oauth2({ clientSecret: 'x' }) })
    .authorize({ grant_type: 'client_credentials' }), 'a wrong secret');
  await refused('invalid_client_id', () => org.connection({ oauth2: org.oauth2({ clientId: 'x' }) })
    .authorize({ grant_type: 'client_credentials' }), 'a wrong client');
  const first = await org.byClient();
  const second = await org.byClient();
  same(first.accessToken, second.accessToken, 'client credentials give the same token again');
  const identity = await first.identity();
  same([identity.username, identity.user_id], [org.username, info.id], 'identity');

  const { publicKey, privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
  const byJwt = () => org.connection().authorize({ grant_type: grant, assertion: assertion(org, privateKey) });
  await refused('invalid_grant', byJwt, 'a key that the app does not know');
  await org.turn({ jwt_public_key: publicKey.export({ type: 'spki', format: 'pem' }) });
  same((await byJwt()).id, info.id, 'JWT');

  // The client makes the challenge; the user is asked on a page and says yes.
  await org.turn({ pkce_required: true, rotate_refresh_tokens: true, consent_page: true });
  const oauth2 = new OAuth2(org.oauth2({ useVerifier: true }));
  const ask = oauth2.getAuthorizationUrl({ scope: 'api refresh_token', state: 's' });
  const page = await (await fetch(ask)).text();
  same(/<button name=decision value=allow>/.test(page), true, 'a page asks for consent');
  const decide = (decision) => fetch(ask, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ decision }) });
  const back = new URL((await decide('allow')).headers.get('location')).searchParams;
  same(back.get('state'), 's', 'the state comes back');
  same(new URL((await decide('deny')).headers.get('location')).searchParams.get('error'), 'access_denied', 'a no');
  const byCode = org.connection({ oauth2 });
  await byCode.authorize(back.get('code'));
  same((await byCode.query('SELECT Id FROM Organization')).totalSize, 1, 'a session by code works');
  const refresh = byCode.refreshToken;
  await org.turn({ revoke: true });
  same((await byCode.query('SELECT Id FROM Organization')).totalSize, 1, 'the client refreshes an ended session');
  await refused('invalid_grant', () => oauth2.refreshToken(refresh), 'a used refresh token');
  await refused('invalid_grant', () => new OAuth2(org.oauth2()).requestToken(back.get('code')), 'a used code');
  await org.turn({ pkce_required: false, rotate_refresh_tokens: false, consent_page: false });
}

async function asking(org, sf) {
  const everyone = await sf.query('SELECT Id, Name, Account.Name FROM Contact ORDER BY Id');
  same([everyone.totalSize, everyone.done, everyone.records[0].Account.Name], [3, true, 'Kern AG'], 'a query');
  await org.turn({ page_size: 2 });
  const first = await sf.query('SELECT Id FROM Contact ORDER BY Id');
  same([first.done, first.records.length], [false, 2], 'a first page');
  const next = await sf.queryMore(first.nextRecordsUrl);
  same([next.done, next.records.length], [true, 1], 'the last page');
  const fetched = await sf.query('SELECT Id FROM Contact', { autoFetch: true, maxFetch: 10 });
  same(fetched.records.length, 3, 'pages by themselves');
  await org.turn({ page_size: 2000 });
  same(await sf.sobject('Contact').count({ LastName: "O'Neill" }), 1, 'a count with an escaped quote');
  const found = await sf.sobject('Contact').find({ LastName: { $like: 'K%' } }, ['Id', 'Phone']).limit(1);
  same([found[0].Id, found[0].Phone], [EVA, '(415) 555-0123'], 'find');
  const [firm] = await sf.sobject('Account').find(null, 'Name').include('Contacts').select('LastName').limit(5).end();
  same(firm.Contacts.records.map((row) => row.LastName), ['Kern'], 'children with their parent');
  await refused('INVALID_FIELD', () => sf.query('SELECT Fone FROM Contact'), 'an unknown field');
  await refused('MALFORMED_QUERY', () => sf.query('SELECT FROM'), 'no query');
  await refused('INVALID_TYPE', () => sf.query('SELECT Id FROM Kontact'), 'an unknown object');

  const search = await sf.search('FIND {4155550123} IN PHONE FIELDS RETURNING Contact(Id, Name)');
  same(search.searchRecords.map((row) => row.Name), ['Eva Kern'], 'a search');
  await refused('INVALID_SEARCH', () => sf.search('FIND {4} IN PHONE FIELDS'), 'a short search');
  const parameterized = await sf.requestPost('/parameterizedSearch', {
    q: '4155550123', in: 'PHONE', fields: ['Id', 'Name'], sobjects: [{ name: 'Contact' }], overallLimit: 10,
  });
  same(parameterized.searchRecords.map((row) => row.Id), [EVA], 'a parameterized search');
  const byGet = await sf.requestGet('/parameterizedSearch?q=4155550123&in=PHONE&sobject=Contact&Contact.fields=Id,Name');
  same(byGet.searchRecords.map((row) => row.Name), ['Eva Kern'], 'the same by GET');

  const contact = await sf.sobject('Contact').describe();
  const phone = contact.fields.find((field) => field.name === 'MobilePhone');
  same([phone.type, phone.length, phone.createable], ['phone', 40, true], 'describe');
  const status = (await sf.sobject('Task').describe()).fields.find((field) => field.name === 'Status');
  same(status.picklistValues.filter((value) => value.defaultValue).map((v) => v.value), ['Not Started'], 'a picklist');
  const all = await sf.describeGlobal();
  same(all.sobjects.find((thing) => thing.name === 'Lead').keyPrefix, '00Q', 'the global describe');
  const limits = await sf.limits();
  same([limits.DailyApiRequests.Max, limits.DataStorageMB.Max > 0], [150000, true], 'limits');
  same([sf.limitInfo.apiUsage.limit, sf.limitInfo.apiUsage.used > 0], [150000, true], 'the usage header');
}

async function writing(org, sf) {
  const task = sf.sobject('Task');
  const made = await task.create({ Subject: 'Call', WhoId: EVA, TaskSubtype: 'Call' });
  same([made.success, made.errors, made.id.length], [true, [], 18], 'create');
  same((await task.update({ Id: made.id, Subject: 'Later' })).success, true, 'update');
  const row = await task.retrieve(made.id);
  same([row.Subject, row.AccountId], ['Later', FIRM], 'retrieve');
  same((await sf.recent()).every((record) => typeof record.Id === 'string'), true, 'recent');

  const fresh = await task.upsert({ CTI_Call_Id__c: 'pbx-1', Subject: 'New', TaskSubtype: 'Call' }, 'CTI_Call_Id__c');
  same([fresh.success, fresh.created], [true, true], 'upsert of a new row');
  const known = await task.upsert({ CTI_Call_Id__c: 'pbx-1', Subject: 'Known' }, 'CTI_Call_Id__c');
  same([known.success, known.created, known.id], [true, false, fresh.id], 'upsert of a known row');
  await refused('INVALID_FIELD_FOR_INSERT_UPDATE', () => task.upsert({ CTI_Call_Id__c: 'pbx-1', TaskSubtype: 'Email' },
    'CTI_Call_Id__c'), 'a field for creation only');
  const twice = await refused('MULTIPLE_CHOICES', () => sf.sobject('UpsertTable__c')
    .upsert({ Name: 'three', ExtId__c: 'twice' }, 'ExtId__c'), 'upsert of several rows');
  same(twice.data.length, 2, 'which are told');
  await refused('NOT_FOUND', () => task.upsert({ Nope__c: '1' }, 'Nope__c'), 'upsert by no key');
  await refused('DUPLICATE_VALUE', () => task.create({ CTI_Call_Id__c: 'pbx-1' }), 'a key that is taken');
  await refused('STRING_TOO_LONG', () => task.create({ Subject: 'x'.repeat(256) }), 'a long text');
  await refused('REQUIRED_FIELD_MISSING', () => sf.sobject('Lead').create({ LastName: 'A' }), 'a missing field');
  await refused('FIELD_INTEGRITY_EXCEPTION', () => task.create({ WhatId: '00Q000000000001' }), 'a lead in WhatId');

  const several = await task.create([{ Subject: 'a', CTI_Call_Id__c: 'c-1' }, { OwnerId: 'nobody' }]);
  same(several.map((result) => result.success), [true, false], 'a collection with a bad row');
  same(several[1].errors[0].statusCode, 'MALFORMED_ID', 'its error');
  const rows = [{ CTI_Call_Id__c: 'c-2', Subject: 'a' }, { CTI_Call_Id__c: 'c-3', OwnerId: 'nobody' }];
  const none = await task.upsert(rows, 'CTI_Call_Id__c', { allOrNone: true });
  same(none.map((result) => result.errors[0].statusCode), ['ALL_OR_NONE_OPERATION_ROLLED_BACK', 'MALFORMED_ID'],
    'all or none');
  same(none.map((result) => result.created), [true, true], 'what would have been created');
  same(await task.count({ CTI_Call_Id__c: 'c-2' }), 0, 'none it is');
  const both = await task.upsert([{ CTI_Call_Id__c: 'c-1', Subject: 'b' }, { CTI_Call_Id__c: 'c-4' }], 'CTI_Call_Id__c');
  same(both.map((result) => result.created), [false, true], 'a collection of upserts');
  const ids = both.map((result) => result.id);
  same((await task.retrieve(ids)).map((record) => record.Subject), ['b', null], 'several rows');
  same((await task.destroy(ids)).map((result) => result.success), [true, true], 'several are deleted');
  same(await task.retrieve(ids), [null, null], 'and gone');
  await refused('ENTITY_IS_DELETED', () => task.update({ Id: ids[0], Subject: 'x' }), 'an update of a deleted row');
  const bin = await sf.query('SELECT Id FROM Task WHERE IsDeleted = true ORDER BY Id', { scanAll: true });
  same(bin.records.map((record) => record.Id), [...ids].sort(), 'queryAll shows the recycle bin');
  const [start, end] = [new Date(Date.now() - 300000), new Date(Date.now() + 300000)];
  same((await task.deleted(start, end)).deletedRecords.map((gone) => gone.id).sort(), [...ids].sort(), 'deleted');
  same((await task.updated(start, end)).ids.includes(made.id), true, 'updated');

  const base = `/services/data/v${VERSION}/sobjects`;
  const composed = await sf.requestPost('/composite', { compositeRequest: [
    { method: 'POST', url: `${base}/Contact`, referenceId: 'c', body: { LastName: 'Composed' } },
    { method: 'POST', url: `${base}/Task`, referenceId: 't', body: { Subject: 'Call', WhoId: '@{c.id}' } },
    { method: 'GET', url: `${base}/Task/@{t.id}?fields=WhoId`, referenceId: 'r' },
    { method: 'PATCH', url: `${base}/Task/@{nope.id}`, referenceId: 'x', body: {} },
  ] });
  const parts = composed.compositeResponse;
  same(parts.map((part) => part.httpStatusCode), [201, 201, 200, 400], 'a composite request');
  same(parts[2].body.WhoId, parts[0].body.id, 'a reference');
  await org.turn({ duplicate_rule: 'alert' });
  const again = { LastName: 'Moll', MobilePhone: '+1 415-555-0124' };
  const moll = await refused('DUPLICATES_DETECTED', () => sf.sobject('Contact').create(again), 'a duplicate');
  same(moll.data.duplicateResut.matchResults[0].matchRecords[0].record.Id, MOLL, 'of whom');
  const headers = { 'Sforce-Duplicate-Rule-Header': 'allowSave=true' };
  same((await sf.sobject('Contact').create(again, { headers })).success, true, 'a duplicate that is wanted');
  await org.turn({ duplicate_rule: 'off' });
}

async function inBulk(org, sf) {
  sf.bulk2.pollInterval = 50;
  const rows = Array.from({ length: 300 }, (_, n) => ({ LastName: `Bulk ${n}`, Title: `No. ${n}` }));
  const done = await sf.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'insert', input: [...rows, { FirstName: 'Nameless' }],
  });
  same([done.successfulResults.length, done.failedResults.length, done.unprocessedRecords.length], [300, 1, 0], 'ingest');
  same(done.successfulResults[0].sf__Created, 'true', 'a created row');
  same(done.failedResults[0].sf__Error, 'REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --',
    'a bad row');
  // Its stream ends with the first set of results, so there is one.
  const found = await new Promise((resolve, reject) => {
    const records = [];
    sf.bulk2.query("SELECT Id, LastName FROM Contact WHERE LastName LIKE 'Bulk%'", { pollInterval: 50, pollTimeout: 10000 })
      .then((stream) => stream.on('record', (row) => records.push(row)).on('end', () => resolve(records)).on('error', reject),
        reject);
  });
  same([found.length, found[0].LastName.startsWith('Bulk')], [300, true], 'a bulk query');
  const gone = await sf.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'delete', input: done.successfulResults.map((row) => ({ Id: row.sf__Id })),
  });
  same(gone.successfulResults.length, 300, 'rows deleted in bulk');
  await refused('INVALID_FIELD', () => sf.bulk2.query('SELECT Fone FROM Contact'), 'a bad bulk query');
  await org.turn({ bulk_failure: 'InternalServerError : too bad' });
  await sf.bulk2.query('SELECT Id FROM Contact', { pollInterval: 50, pollTimeout: 10000 }).then(
    () => { throw new Error('a failed job is nothing'); },
    (error) => same(/failed/i.test(error.message), true, error.message));
  await org.turn({ bulk_failure: '' });
}

async function faults(org, sf) {
  await org.turn({ next: [{ kind: 'request_limit' }] });
  await refused('REQUEST_LIMIT_EXCEEDED', () => sf.limits(), 'over the limit');
  await org.turn({ read_only: true });
  await refused('INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE',
    () => sf.sobject('Task').create({ Subject: 'x' }), 'maintenance');
  await org.turn({ read_only: false, task_validation: 'Say who called' });
  const error = await refused('FIELD_CUSTOM_VALIDATION_EXCEPTION', () => sf.sobject('Task').create({}), 'a rule');
  same(error.message, 'Say who called', 'its text');
  await org.turn({ task_validation: '', revoke: true });
  await refused('INVALID_SESSION_ID', () => new Connection({ instanceUrl: org.url, accessToken: sf.accessToken,
    version: VERSION }).limits(), 'an ended session');
}

async function main() {
  const program = spawn(process.argv[2], ['sandbox', '--listen', '127.0.0.1:0', '--data', path.join(__dirname, 'org.json')],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const patience = setTimeout(() => {
    console.error('jsforce: no end after two minutes');
    program.kill();
    process.exit(1);
  }, 120000);
  try {
    const [line] = await Promise.race([
      new Promise((resolve) => { readline.createInterface({ input: program.stdout }).once('line', (l) => resolve([l])); }),
      new Promise((_, reject) => { program.once('exit', () => reject(new Error('the sandbox does not start'))); }),
    ]);
    const org = new Org(JSON.parse(line));
    await loggingIn(org);
    const sf = await org.byClient();
    for (const step of [asking, writing, inBulk, faults]) await step(org, sf);
  } finally {
    program.kill();
    clearTimeout(patience);
  }
  console.log(`jsforce: ${checks} checks hold`);
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
