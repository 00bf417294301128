/** The pages: where each is, and what it needs. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import type { Words } from './words/en'

export interface Page {
  readonly path: string
  readonly name: keyof Words['page']
  /** Whether only operators have it. */
  readonly operators: boolean
  readonly component: () => Promise<unknown>
}

export const pages: readonly Page[] = [
  { path: '/', name: 'overview', operators: true, component: () => import('./pages/OverviewPage.vue') },
  { path: '/chat', name: 'chat', operators: false, component: () => import('./pages/chat/ChatPage.vue') },
  { path: '/deployments', name: 'deployments', operators: true, component: () => import('./pages/DeploymentsPage.vue') },
  { path: '/requests', name: 'requests', operators: true, component: () => import('./pages/RequestsPage.vue') },
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
