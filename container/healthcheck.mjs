// Ends with 0 if the server of this container answers /healthz. What the server has from the environment is used here, too.
import { request as http } from 'node:http';
import { request as https } from 'node:https';

const { SCANNERY_PORT: port = '8080', SCANNERY_TLS_CERT: certificate } = process.env;
// The certificate is made out to the name by which others call; here it is the same container that calls.
const options = { host: '127.0.0.1', port, path: '/healthz', timeout: 4000, rejectUnauthorized: false };

const fail = (reason) => {
  console.error(`scannery is not healthy: ${reason}`);
  process.exit(1);
};
const call = (certificate ? https : http)(options, (response) => {
  response.resume();
  if (response.statusCode === 200) process.exit(0);
  fail(`/healthz answered ${response.statusCode}`);
});
call.on('timeout', () => fail(`no answer in ${options.timeout} ms`));
call.on('error', (error) => fail(error.message));
call.end();
