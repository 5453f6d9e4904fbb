// The contract of lessons 01 to 05 and 08, kept by another stack: Node with
// express and jsonwebtoken. It is graded by URL, as any server can be.
//
//	npm ci
//	node server.mjs --lesson 05 --secret … --issuer … --audience … --access-ttl 2 --refresh-ttl 6
//
// Lifetimes are in seconds. It prints the URL that it listens on.
import { createHash, randomBytes, randomUUID, scrypt, timingSafeEqual } from 'node:crypto'
import { parseArgs, promisify } from 'node:util'
import express from 'express'
import jwt from 'jsonwebtoken'

const { values: flags } = parseArgs({
  options: {
    lesson: { type: 'string', default: '05' },
    port: { type: 'string', default: '0' },
    secret: { type: 'string' },
    issuer: { type: 'string' },
    audience: { type: 'string' },
    'access-ttl': { type: 'string', default: '900' },
    'refresh-ttl': { type: 'string', default: '3600' },
    'session-ttl': { type: 'string', default: '604800' },
    'fresh-for': { type: 'string', default: '300' },
  },
})
const lesson = Number(flags.lesson)
const [accessTTL, refreshTTL, sessionTTL, freshFor] = ['access-ttl', 'refresh-ttl', 'session-ttl', 'fresh-for'].map((f) => Number(flags[f]))
if (!flags.secret || Buffer.byteLength(flags.secret) < 32) {
  console.error('--secret: at least 32 bytes')
  process.exit(2)
}
const secret = Buffer.from(flags.secret)

// The users.

const derive = promisify(scrypt)
// scrypt begins with HMAC, which fills a short key up with zero bytes: to it
// "space-corgi" and "space-corgi\0" are one password. A digest has one length.
const work = (password, salt) => derive(createHash('sha256').update(password).digest(), salt, 32)
const hash = async (password, salt = randomBytes(16)) => ({ salt, key: await work(password, salt) })
const users = new Map()
for (const [id, username, password] of [[1, 'cosmo', 'space-corgi'], [2, 'ada', 'analytical-engine-1843'], [3, 'grace', 'a moth in relay 70']]) {
  users.set(username, { id, username, ...(await hash(password)) })
}
const decoy = await hash(randomUUID())

async function knows(user, password) {
  const { salt, key } = user ?? decoy // a stranger costs as much time
  return timingSafeEqual(await work(password, salt), key) && user !== undefined
}

// The sessions (lesson 08): id → { username, refresh, ends, revoked }.

const sessions = new Map()
const now = () => Math.floor(Date.now() / 1000)

// The tokens.

function sign(user, typ, ttl, extra = {}) {
  const issued = now()
  const ends = sessions.get(extra.sid)?.ends ?? Infinity
  const payload = { jti: randomUUID(), sub: user.username, iss: flags.issuer, aud: flags.audience, iat: issued, ...extra }
  if (lesson >= 4) payload.exp = Math.min(issued + ttl, ends)
  return jwt.sign(payload, secret, { algorithm: 'HS256', header: { typ } })
}

const access = (user, extra) => sign(user, 'at+jwt', accessTTL, extra)
const refresh = (user, extra) => sign(user, 'rt+jwt', refreshTTL, extra)

class Refused extends Error {}

// verify returns what the token says and whose it is; it throws Refused, or
// jwt.TokenExpiredError.
function verify(raw, typ, options = {}) {
  let token
  try {
    token = jwt.verify(raw, secret, { algorithms: ['HS256'], issuer: flags.issuer, audience: flags.audience, complete: true, ...options })
  } catch (e) {
    if (e instanceof jwt.TokenExpiredError) throw e
    throw new Refused(e.message)
  }
  const { header, payload } = token
  if (typeof payload !== 'object' || payload === null || typeof payload.sub !== 'string') throw new Refused('no subject')
  if (lesson >= 4 && (typeof payload.exp !== 'number' || payload.exp > now() + Math.max(accessTTL, refreshTTL) + 60)) throw new Refused('no exp that could be ours')
  if (header.typ !== typ) throw new Refused('another kind of token')
  return payload
}

function living(payload) {
  const session = sessions.get(payload.sid)
  if (!session || session.revoked || session.ends <= now()) throw new Refused('the session has ended')
  return session
}

// The doors.

function unauthorized(res, msg, code) {
  res.set('WWW-Authenticate', 'Bearer realm="peer"' + (code ? `, error="${code}"` : ''))
  res.status(401).json({ msg })
}

const bearer = (check) => (req, res, next) => {
  const header = req.get('Authorization')
  if (!header) return unauthorized(res, 'Missing Authorization Header')
  const [, raw] = /^bearer ([^\s]+)$/i.exec(header) ?? []
  if (!raw) return unauthorized(res, 'Authorization must be a Bearer token')
  try {
    req.token = check(raw)
    req.user = users.get(req.token.sub)
    if (!req.user) throw new Refused('no such user')
  } catch (e) {
    if (e instanceof jwt.TokenExpiredError) return unauthorized(res, 'Token has expired', 'invalid_token')
    if (e instanceof Refused) return unauthorized(res, 'Token is not valid', 'invalid_token')
    throw e
  }
  next()
}

const byAccess = bearer((raw) => {
  const payload = verify(raw, 'at+jwt')
  if (lesson >= 6) living(payload)
  return payload
})
const byRefresh = bearer((raw) => verify(raw, 'rt+jwt'))
const toLogOut = bearer((raw) => verify(raw, 'at+jwt', { ignoreExpiration: true }))

// fields answers 400 and returns false where one of them is no string, or empty.
function fields(req, res, ...names) {
  if (typeof req.body !== 'object' || req.body === null || Array.isArray(req.body)) {
    res.status(400).json({ error: 'the body must be a JSON object' })
    return false
  }
  const problems = {}
  for (const name of names) {
    if (typeof req.body[name] !== 'string') problems[name] = 'must be a string'
    else if (req.body[name] === '') problems[name] = 'is required'
  }
  if (Object.keys(problems).length === 0) return true
  res.status(400).json({ error: problems })
  return false
}

const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.use(express.json({ limit: '1mb', type: () => true }))

// route answers 405 to other methods (RFC 9110 §15.5.6).
function route(method, path, ...handlers) {
  app.route(path)[method](...handlers).all((req, res) => res.set('Allow', method.toUpperCase()).status(405).json({ error: 'method not allowed' }))
}

const tokens = (res, body) => res.set('Cache-Control', 'no-store').json(body)

route('post', '/login', async (req, res) => {
  if (!fields(req, res, 'username', 'password')) return
  const user = users.get(req.body.username)
  if (!(await knows(user, req.body.password))) return res.status(401).json({ error: 'Bad username or password' })
  if (lesson === 1) return res.json({ id: user.id, username: user.username })
  if (lesson < 5) return tokens(res, { access_token: access(user) })
  if (lesson < 6) return tokens(res, { access_token: access(user), refresh_token: refresh(user) })
  const sid = randomUUID()
  sessions.set(sid, { username: user.username, ends: now() + sessionTTL, revoked: false, refresh: '' })
  tokens(res, pair(user, sid, now()))
})

// pair makes the next refresh token of a session its only living one.
function pair(user, sid, authTime) {
  const session = sessions.get(sid)
  session.refresh = randomUUID()
  return {
    access_token: access(user, authTime ? { sid, auth_time: authTime } : { sid }),
    refresh_token: refresh(user, { sid, jti: session.refresh }),
  }
}

if (lesson >= 3) {
  // Past half of its life a token is replaced on the way (lesson 08).
  const renew = (req, res, next) => {
    const { iat, exp, sid } = req.token
    if (lesson >= 8 && now() >= iat + (exp - iat) / 2) {
      res.set({ 'X-New-Access-Token': access(req.user, { sid }), 'Cache-Control': 'no-store' })
    }
    next()
  }
  const crossOrigin = (req, res, next) => {
    if (lesson >= 8) res.set({ 'Access-Control-Allow-Origin': '*', 'Access-Control-Expose-Headers': 'X-New-Access-Token' })
    next()
  }
  route('get', '/profile', crossOrigin, byAccess, renew, (req, res) => res.json({ id: req.user.id, username: req.user.username }))
  route('get', '/dashboard', crossOrigin, byAccess, renew, (req, res) => res.json({ message: `Welcome back, ${req.user.username}!` }))
}

if (lesson === 5) route('post', '/refresh', byRefresh, (req, res) => tokens(res, { access_token: access(req.user) }))

if (lesson >= 6) {
  route('post', '/refresh', byRefresh, (req, res) => {
    const session = sessions.get(req.token.sid)
    if (!session || session.revoked || session.ends <= now()) return unauthorized(res, 'Token is not valid', 'invalid_token')
    if (session.refresh !== req.token.jti) {
      session.revoked = true // used twice
      return unauthorized(res, 'Token is not valid', 'invalid_token')
    }
    tokens(res, pair(req.user, req.token.sid)) // no await since the look: one of twenty wins
  })
  route('post', '/logout', toLogOut, (req, res) => {
    const session = sessions.get(req.token.sid)
    if (session) session.revoked = true
    res.status(204).end()
  })
  route('post', '/logout-all', byAccess, (req, res) => {
    endSessions(req.user.username)
    res.status(204).end()
  })
}

function endSessions(username, except) {
  for (const [sid, session] of sessions) if (session.username === username && sid !== except) session.revoked = true
}

if (lesson >= 7) {
  route('post', '/password', byAccess, async (req, res) => {
    if (!(req.token.auth_time >= now() - freshFor)) return unauthorized(res, 'Fresh token required', 'insufficient_user_authentication')
    if (!fields(req, res, 'current', 'new')) return
    if (!(await knows(req.user, req.body.current))) return unauthorized(res, 'Bad username or password')
    Object.assign(req.user, await hash(req.body.new))
    endSessions(req.user.username, req.token.sid)
    res.status(204).end()
  })
  route('post', '/reauth', byAccess, async (req, res) => {
    if (!fields(req, res, 'password')) return
    if (!(await knows(req.user, req.body.password))) return unauthorized(res, 'Bad username or password')
    tokens(res, { access_token: access(req.user, { sid: req.token.sid, auth_time: now() }) })
  })
}

app.use((err, req, res, next) => {
  const status = err.status ?? err.statusCode ?? 500
  if (status >= 500) console.error(err)
  res.status(status).json({ error: status === 413 ? 'the body is too long' : status < 500 ? 'the body must be a JSON object' : 'internal error' })
})

const server = app.listen(Number(flags.port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
