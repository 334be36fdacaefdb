// A bare Fastify route, to compare a served index with: parses the same body, answers a constant.
//   node bare.mjs <answer>
import fastify from 'fastify';

const answer = process.argv[2];
const app = fastify({ logger: false });
app.post('/v1/search', (_, reply) => {
  reply.header('content-type', 'application/json; charset=utf-8');
  return answer;
});
const url = await app.listen({ host: '127.0.0.1', port: 0 });
console.log(JSON.stringify({ event: 'ready', url }));
process.once('SIGTERM', () => app.close());
