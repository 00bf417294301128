import { createApp } from 'vue'
import { Gateway } from './api/http'
import App from './App.vue'
import { Talks } from './chat/talks'
import { TALKS } from './chat/using'
import { LiveStore, STORE } from './live/store'
import { router } from './routes'
import './styles/tokens.css'
import './styles/base.css'
import { paint } from './theme'

paint()
const gateway = new Gateway()
const store = new LiveStore(gateway)
const talks = new Talks(gateway)
createApp(App).use(router).provide(STORE, store).provide(TALKS, talks).mount('#app')
void store.start()
