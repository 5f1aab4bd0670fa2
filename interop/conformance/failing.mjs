// failing.mjs DIR: the scenarios whose checks under DIR are not all right, one a line. Warnings count, and so does a
// scenario in which nothing was checked, unless the suite itself skips it.
import fs from 'node:fs';
import path from 'node:path';

const root = process.argv[2];
const walk = (dir) =>
  fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const at = path.join(dir, entry.name);
    return entry.isDirectory() ? walk(at) : entry.name === 'checks.json' ? [at] : [];
  });

for (const file of walk(root)) {
  const scenario = path
    .relative(root, path.dirname(file))
    .replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '')
    .replace(/^server-/, '');
  const checks = JSON.parse(fs.readFileSync(file, 'utf8'));
  const count = (status) => checks.filter((check) => check.status === status).length;
  const bad = count('FAILURE') + count('WARNING') > 0;
  const nothing = count('SUCCESS') === 0 && count('SKIPPED') === 0;
  if (bad || nothing) console.log(scenario);
}
