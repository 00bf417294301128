/** The pages: where each is, and what it needs. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import type { Words } from './words/en'

export interface Page {
  readonly path: string
  readonly name: keyof Words['page']
  /** Whether only operators have it. */
  readonly operators: boolean
  readonly component: () => Promise<unknown>
  /** Of what the gateway may offer, that without which the page would be empty; one of these is enough. */
  readonly needs?: readonly string[]
}

export const pages: readonly Page[] = [
  { path: '/', name: 'overview', operators: true, component: () => import('./pages/OverviewPage.vue') },
  { path: '/chat/:id?', name: 'chat', operators: false, component: () => import('./pages/chat/ChatPage.vue') },
  { path: '/review', name: 'review', operators: false, component: () => import('./pages/review/ReviewPage.vue') },
  { path: '/deployments', name: 'deployments', operators: true, component: () => import('./pages/DeploymentsPage.vue') },
  { path: '/requests', name: 'requests', operators: true, component: () => import('./pages/RequestsPage.vue') },
  { path: '/routes', name: 'routes', operators: true, component: () => import('./pages/RoutesPage.vue') },
  { path: '/models', name: 'models', operators: true, component: () => import('./pages/models/ModelsPage.vue') },
  { path: '/callers', name: 'callers', operators: true, needs: ['callers', 'budgets', 'spend'], component: () => import('./pages/callers/CallersPage.vue') },
  { path: '/credentials', name: 'credentials', operators: true, component: () => import('./pages/CredentialsPage.vue') },
  { path: '/audit', name: 'audit', operators: true, component: () => import('./pages/AuditPage.vue') },
  { path: '/config', name: 'config', operators: true, component: () => import('./pages/config/ConfigPage.vue') },
]

const records: RouteRecordRaw[] = pages.map((page) => ({
  path: page.path,
  name: page.name,
  component: page.component as () => Promise<never>,
  meta: { operators: page.operators },
}))

export const router = createRouter({
  history: createWebHistory('/console/'),
  routes: [
    ...records,
    { path: '/requests/:id', name: 'request', component: () => import('./pages/RequestPage.vue'), meta: { operators: true } },
    { path: '/:rest(.*)*', name: 'nowhere', component: () => import('./pages/NowherePage.vue') },
  ],
})
