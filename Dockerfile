# The processes of a deployment: api (the default), relay (`node src/jobs/main.ts`) and the command line (`node src/cli/main.ts`).
FROM node:24-slim

ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app

# Nothing embedded runs in here: without the optional packages there is no Postgres in the image, and without the scripts no second Node.
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund && npm cache clean --force && rm -rf node_modules/node node_modules/.bin/node

COPY migrations migrations
COPY src src

# A new volume that is mounted here belongs to its owner.
RUN mkdir /keys && chown node:node /keys

USER node
EXPOSE 8080
# Of the api. Ready is more than alive: the database answered. A relay listens to nothing, and has its own line in docker-compose.yml.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.OPS_PORT || process.env.PORT}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/http/main.ts"]
