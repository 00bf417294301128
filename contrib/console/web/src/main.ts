import { createApp } from 'vue'
import { Gateway } from './api/http'
import App from './App.vue'
import { LiveStore, STORE } from './live/store'
import { router } from './routes'
import './styles/tokens.css'
import './styles/base.css'
import { paint } from './theme'

paint()
const store = new LiveStore(new Gateway())
createApp(App).use(router).provide(STORE, store).mount('#app')
void store.start()
